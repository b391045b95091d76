"""The Dandiset's own record: change fields of it, take it from a file, check it against the archive's schema."""
