"""git, git-annex and DataLad: the formats they keep (pure) and the only door to their programs."""
