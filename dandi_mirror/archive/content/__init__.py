"""Download the content of files, many at a time, verified."""
