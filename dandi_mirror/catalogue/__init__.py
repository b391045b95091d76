"""The catalogue: a page for each Dandiset of a mirror and an index of all, as files that need no server."""
