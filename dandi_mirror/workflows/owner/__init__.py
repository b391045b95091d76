"""What owners do with a Dandiset at the archive: create, edit, publish, open, share."""
