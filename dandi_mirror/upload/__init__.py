"""The way back: files of a working dataset become assets of the archive."""
