"""Where a mirror keeps its files, and what it remembers between runs."""
