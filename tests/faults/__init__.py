"""Faults of the network and of what stands in it, made by a real server on loopback."""
