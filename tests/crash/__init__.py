"""Attacks on a sync, and the proof that the next run makes good what they left."""
