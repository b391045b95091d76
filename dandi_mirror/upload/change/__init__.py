"""Plan what an upload changes, and carry it out."""
