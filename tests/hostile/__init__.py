"""What an archive, or somebody with an account on one, may send to do harm."""
