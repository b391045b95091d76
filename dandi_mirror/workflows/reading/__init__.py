"""Read what is here: lists, citations, changes, search."""
