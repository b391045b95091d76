"""Zarrs: the state of each as a commit, its manifest on disk, and its repository."""
