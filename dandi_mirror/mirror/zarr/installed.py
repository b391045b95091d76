"""Whether a Zarr is installed in a dataset: in its own folder, and not behind a link that somebody else has made."""

from __future__ import annotations

import os
from pathlib import Path

from dandi_mirror.files.own import OwnPath


def is_installed_at(dataset: Path, path: str) -> bool:
    """Whether a folder of a dataset has a repository of its own; ``path`` is that of the Zarr."""
    folder = OwnPath(dataset, tuple(path.split("/")))
    return folder.is_own_folder() and os.path.lexists(folder.path / ".git")
