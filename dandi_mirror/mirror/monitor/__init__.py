"""Show how a mirror compares with the archive, and what past runs did."""
