"""Which mirror, clone or version a name stands for on this machine."""
