"""A cache on disk of content that is at the archive: block by block, bounded, safe when the process is killed."""
