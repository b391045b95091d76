"""Real mirrors of institutions that hold shares of an archive, lie, go away, and restore it."""
