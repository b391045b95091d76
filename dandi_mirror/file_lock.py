"""Lock an open file against other processes: one helper for every lock of this program."""

from __future__ import annotations

import errno
import fcntl
import os
import time

from dandi_mirror.errors import DiskError, LockedError

_NOT_SUPPORTED = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}


_PAUSE = 0.01
"""Seconds between two attempts."""


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


def wait_for_record_lock(descriptor: int, path: object, seconds: float) -> None:
    """Lock a whole file as git-annex does (``fcntl``, held by this process), and wait until it is free.

    Raises:
        LockedError: another process holds it for longer than ``seconds``.
        NoLocks, DiskError: as :func:`try_lock`.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except (BlockingIOError, PermissionError) as error:  # systems differ in the error for a lock that is held
            if time.monotonic() >= end:
                raise LockedError(f"{path} is held by git-annex; try again when that is done") from error
        except OSError as error:
            raise _failure(path, error) from error
        time.sleep(_PAUSE)


def _failure(path: object, error: OSError) -> DiskError:
    if error.errno in _NOT_SUPPORTED:
        words = os.strerror(error.errno or 0)
        return NoLocks(
            f"{path}: this disk has no file locks ({words}), so two runs could damage each other's work; "
            "use a folder on a disk that has them: most local disks do, some network disks must be mounted with locks"
        )
    return DiskError.of(path, error)
