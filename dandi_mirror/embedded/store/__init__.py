"""The records of the archive: Dandisets, versions, assets, blobs, Zarrs, users; a test changes them directly."""
