"""A mirror as an archive: the DANDI API, read-only, answered from the datasets of a mirror."""
