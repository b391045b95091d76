"""Download the content of files, many at a time, verified."""

JOBS = 48
"""Connections that get content at the same time, unless somebody asks for another number."""
