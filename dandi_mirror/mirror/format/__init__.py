"""The format of a mirror: what may reach git, and how a version's files, records and git-annex logs look there."""
