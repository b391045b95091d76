"""The files of a mirror, and what it remembers between runs."""
