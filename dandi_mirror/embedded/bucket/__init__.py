"""The S3 bucket of the archive: its own, in memory and in files, or one on another S3 server."""
