"""Many runs over an archive that never rests."""
