"""Compare a mirror with the archive, with itself and with other mirrors, and repair it."""
