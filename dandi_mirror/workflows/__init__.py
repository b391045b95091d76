"""What puts a mirror and uploads together; the commands call these."""
