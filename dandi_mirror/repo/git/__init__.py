"""Work with git: processes, repositories, fast-import, work trees, locks."""
