"""Compare versions, and cite one."""
