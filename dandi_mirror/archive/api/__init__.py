"""The calls of the DANDI API, each response checked."""
