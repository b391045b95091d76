"""Give NWB files the names that DANDI expects."""
