"""Send files to the archive: organize, validate, compare, upload, publish."""
