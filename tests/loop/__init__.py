"""The closed loop: random edits in a clone go up, and everything agrees afterwards."""
