"""Measured on one machine in one run, as ratios: against the peer's way, and against git alone."""
