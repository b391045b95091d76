"""Random histories of a draft: reading the newest list entries gives what reading everything gives."""
