"""dandi's own integration tests against the embedded archive: ``python -m tests.conformance``."""
