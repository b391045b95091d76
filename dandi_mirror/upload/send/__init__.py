"""Send the bytes of files to the archive."""
