"""Work with git-annex: keys, logs, objects, pointer files, settings."""
