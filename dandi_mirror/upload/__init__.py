"""The way back: from files to the archive."""
