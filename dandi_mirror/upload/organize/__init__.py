"""Give NWB files their DANDI names."""
