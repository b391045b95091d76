"""git-annex: keys, logs, objects, clones."""
