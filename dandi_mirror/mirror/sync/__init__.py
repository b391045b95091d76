"""Bring datasets up to date with the archive."""
