"""What the names mean that people type: Dandisets, versions, files, Zarrs."""
