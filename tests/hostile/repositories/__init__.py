"""Clones and mirrors that somebody else has made to do harm, and every command that reads them."""
