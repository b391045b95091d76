"""Everything that is done through git and git-annex on this machine."""
