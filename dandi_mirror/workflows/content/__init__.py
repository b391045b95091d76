"""Get the content of files, or download plain files."""
