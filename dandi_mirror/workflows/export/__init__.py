"""Write a version in a format of others."""
