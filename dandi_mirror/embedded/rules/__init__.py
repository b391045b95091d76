"""Decisions that the archive's API takes by rule: paths, pages, version names, validation, refusals.  No state.

Source: recorded answers of dandi-archive commit 3e3c3c9c on loopback.
"""
