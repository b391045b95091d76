"""Give NWB files and NWB-Zarrs the names that DANDI expects."""
