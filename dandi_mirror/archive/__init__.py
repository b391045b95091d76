"""The client's side of the DANDI API: the only door to the network."""
