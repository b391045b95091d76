"""The client of a DANDI archive; no other package opens network connections to archives."""
