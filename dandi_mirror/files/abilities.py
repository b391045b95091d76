"""What a disk can do, found out by trying: symbolic links, permissions, names that differ in case only."""

from __future__ import annotations

import errno
import tempfile
from contextlib import suppress
from pathlib import Path

_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}
_WRITE_BITS = 0o222


def lacks(folder: Path) -> str:
    """What a mirror needs and the disk of a folder does not have; empty if it has all, or if that cannot be tried.

    Where one of these is missing, git-annex calls the disk crippled and checks out another branch than ours.
    """
    with suppress(OSError), _scratch(folder) as name:
        file, link = Path(name, "file"), Path(name, "link")
        try:
            link.symlink_to("file")
        except OSError as error:
            return "symbolic links" if error.errno in _NO_LINKS else ""
        file.touch()
        with suppress(PermissionError):
            file.chmod(0o444)
        if file.stat().st_mode & _WRITE_BITS:
            return "file permissions"
    return ""


def folds_names(folder: Path) -> bool:
    """Whether the disk takes two names for one file that differ only in case, or in how an accent is encoded.

    False if that cannot be tried.
    """
    with suppress(OSError), _scratch(folder) as name:
        for first, second in (("a", "A"), ("\u00e9", "e\u0301")):
            Path(name, first).touch()
            if Path(name, second).exists():
                return True
    return False


def _scratch(folder: Path) -> tempfile.TemporaryDirectory[str]:
    """A folder to try things in, on the disk of ``folder``, which need not exist yet.

    Raises:
        OSError: the disk is full, or not writable.
    """
    there = next(place for place in (folder, *folder.parents) if place.is_dir())
    return tempfile.TemporaryDirectory(prefix=".dandi-mirror-probe-", dir=there, ignore_cleanup_errors=True)
