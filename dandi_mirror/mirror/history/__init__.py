"""What changed between versions, and how to cite one."""
