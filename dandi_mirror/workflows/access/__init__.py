"""Which archive, settings and API key a command uses, and the clone in which a person is."""
