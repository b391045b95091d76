"""Tests of ``verify``: every corruption is named, and nothing where nothing is wrong."""
