"""HTTP: sessions, retries, bounded responses."""
