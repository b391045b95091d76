"""Serve a mirror, its cache, and its catalogue."""
