"""Refusals of a link, a special file or another user's file in the place of one of the program's own files."""

from __future__ import annotations

import errno
import os
import shlex
import stat
from collections.abc import Callable
from os import PathLike

from dandi_mirror.errors import DiskError


class NotOurs(DiskError):
    """A link, a special file or another user's file stands in place of one of the program's own."""


def check_own(path: PathLike[str], facts: os.stat_result, above: os.stat_result, kind: Callable[[int], bool]) -> None:
    """Refuse a file of another kind or of another user than the folder's, unless a group shares that folder."""
    if not kind(facts.st_mode):
        raise _strange(path, facts.st_mode)
    shared = above.st_mode & stat.S_IWGRP and not above.st_mode & (stat.S_IWOTH | stat.S_ISVTX)
    if facts.st_uid not in {os.geteuid(), 0, above.st_uid} and not shared:
        raise NotOurs(
            f"{path} belongs to another user (number {facts.st_uid}), and its folder is not shared with a group;"
            f" look at it, then remove it: rm -r {shlex.quote(str(path))}"
        )


def refusal(path: PathLike[str], error: OSError) -> OSError | NotOurs:
    """What to raise for an error at opening: the strange thing that stands there, or the system's own error."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return error
    wanted = error.errno in {errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO, errno.EMLINK}
    return _strange(path, mode) if wanted else error


def _strange(path: PathLike[str], mode: int) -> NotOurs:
    if stat.S_ISLNK(mode):
        why = "is a link, and dandi-mirror follows no links to its own files; see where it leads"
    elif stat.S_ISDIR(mode):
        why = "is a folder, and dandi-mirror keeps one of its own files there; look into it"
    elif stat.S_ISREG(mode):
        why = "is a file, and dandi-mirror keeps one of its own folders there; look at it"
    else:
        why = "is a special file, and dandi-mirror keeps one of its own files there"
    return NotOurs(f"{path} {why}, then move it away: mv {shlex.quote(str(path))} {shlex.quote(f'{path}.away')}")
