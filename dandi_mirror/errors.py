"""The failures of the program, by what the user can do about them, and the words for a full or read-only disk.

Each class has the exit code of the command line (``docs/exit-codes.md``).
A message says what happened, why, and what to type next, in one line.
Findings (a pending asset, a refused path) are values, not errors: see :class:`dandi_mirror.model.Finding`.
"""

from __future__ import annotations

import copyreg
import errno
import os
import pwd
from pathlib import Path

_REFUSALS = {"Permission denied", "attempt to write a readonly database", "unable to open database file"}


_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EFBIG}


class MirrorError(Exception):
    """A failure that the command line reports without a traceback; the base of all others."""

    exit_code = 1

    def __reduce__(self) -> tuple[object, ...]:
        """How it goes to another process: as it is, because pickle would call ``__init__`` with the message alone."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class UsageError(MirrorError):
    """The command or the settings are wrong."""

    exit_code = 2


class SetupError(MirrorError):
    """The user has to change the network settings first: a proxy wants a password, a certificate is not trusted."""

    exit_code = 2


class PartError(MirrorError):
    """One part of a run failed, such as one Dandiset; other parts may have succeeded."""

    exit_code = 3


class UnsafePlan(PartError):
    """The plan would remove much of a mirror; the user has to confirm it."""


class CredentialsError(MirrorError):
    """The archive wants a token, or refuses the one that was sent (401, 403)."""

    exit_code = 4


class TemporaryError(MirrorError):
    """The archive did not answer, or its answers changed meanwhile; running the command again may help."""

    exit_code = 5


class DiskError(MirrorError):
    """The disk is full or read-only, or the user has no permission to write."""

    exit_code = 6

    @classmethod
    def of(cls, path: object, error: Exception) -> DiskError:
        """The error that the system or SQLite gives for a file; a refusal names the user to whom the place belongs."""
        said = getattr(error, "strerror", None) or str(error)
        said = "No space left on device" if said == "database or disk is full" else said
        whose = _other_owner(Path(str(path))) if said in _REFUSALS else ""
        return cls(f"{path}: {said}{f' (it belongs to {whose})' if whose else ''}")


class IntegrityError(MirrorError):
    """Two things that must agree do not: a tag and its version, a text file and its digest."""

    exit_code = 7


class LockedError(MirrorError):
    """Another run has locked the dataset."""

    exit_code = 75


class NotFoundError(PartError):
    """The archive has nothing of this name (404)."""


class BadAnswerError(TemporaryError):
    """The archive's response is not what its API promises: wrong type, too large, too deep, not JSON."""


def uncaught(error: Exception) -> tuple[str, int]:
    """The message and the exit code for an exception that nothing caught: the disk's, or a defect of some program."""
    if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
        found = DiskError.of(error.filename, error) if error.filename else DiskError(str(error.strerror))
        return str(found), found.exit_code
    return f"unexpected: {type(error).__name__}: {error}; run again with -l debug and report it", 1


def _other_owner(path: Path) -> str:
    """The name of another user to whom a file belongs, or the nearest folder above it that exists; empty if ours."""
    there = next((place for place in (path, *path.parents) if os.path.lexists(place)), None)
    owner = os.lstat(there).st_uid if there else os.geteuid()
    return "" if owner == os.geteuid() else user_name(owner)


def user_name(uid: int) -> str:
    """The name of a user, for a message."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def exit_code(codes: set[int]) -> int:
    """One exit code for a run: 7, 6 or 1 if it occurs; else the code that all failures share; else 3."""
    failures = codes - {0}
    for worst in (7, 6, 1):
        if worst in failures:
            return worst
    return 0 if not failures else failures.pop() if len(failures) == 1 else 3
