"""Find Dandisets and files in a mirror."""
