"""Zarr folders: their entries here, and how these differ from the archive's."""
