"""Download the content of files: into a clone, or as plain files."""
