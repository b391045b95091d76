"""Lock an open file against other processes: one helper for every lock of this program."""

from __future__ import annotations

import errno
import fcntl
import os

from dandi_mirror.errors import DiskError

_NOT_SUPPORTED = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}


class NoLocks(DiskError):
    """The file system of a file has no locks."""


def try_lock(descriptor: int, path: object) -> bool:
    """Lock an open file, as ``flock`` does; false if another process holds the lock.

    The lock lasts until every copy of the descriptor is closed, also those that child processes inherit.

    Raises:
        NoLocks: the file system has no locks.
        DiskError: the system refuses the lock for another reason.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise _failure(path, error) from error
    return True


def wait_for_record_lock(descriptor: int, path: object) -> None:
    """Lock a whole file as git-annex does (``fcntl``, held by this process), and wait until it is free.

    Raises as :func:`try_lock`.
    """
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        raise _failure(path, error) from error


def _failure(path: object, error: OSError) -> DiskError:
    if error.errno in _NOT_SUPPORTED:
        words = os.strerror(error.errno or 0)
        return NoLocks(
            f"{path}: this disk has no file locks ({words}), so two runs could damage each other's work; "
            "use a folder on a disk that has them: most local disks do, some network disks must be mounted with locks"
        )
    return DiskError.of(path, error)
