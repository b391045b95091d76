"""The archive as an HTTP server on loopback."""
