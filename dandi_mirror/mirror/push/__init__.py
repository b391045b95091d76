"""Push a mirror to its siblings."""
