"""Read files in worker processes with limits on memory and time."""
