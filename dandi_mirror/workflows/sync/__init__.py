"""Sync a mirror, record its runs, and verify it."""
