"""Organize, validate and upload what somebody changed in a work tree."""
