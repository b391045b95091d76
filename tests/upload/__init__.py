"""The way back: what is sent, what is not, and what the archive has in the end."""
