"""List the files of a version, from a mirror, a clone or the archive."""
