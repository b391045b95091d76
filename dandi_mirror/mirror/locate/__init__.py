"""Find the mirror, clone or version on this machine that a name or path means."""
