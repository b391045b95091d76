"""Read files in a worker process with limits."""
