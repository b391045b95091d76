"""Archive state into dataset state: admit, tree and plan (pure), then sync, which writes."""
