"""What can go wrong, by what the user can do about it.

Each class carries the exit code that the command line ends with (the table is in ``docs/exit-codes.md``).
A message says what happened, why, and what to type next, in one line.
Findings (a pending asset, a refused path) are values, not errors: see :class:`dandi_mirror.model.Finding`.
"""

from __future__ import annotations


class MirrorError(Exception):
    """Base of every failure that the command line reports without a traceback."""

    exit_code = 1


class UsageError(MirrorError):
    """What was typed, or what the settings say, cannot be used."""

    exit_code = 2


class SetupError(MirrorError):
    """The network on this machine has to be set up first: a proxy wants a password, a certificate is not trusted."""

    exit_code = 2


class PartError(MirrorError):
    """One Dandiset could not be brought up to date; others may have been."""

    exit_code = 3


class UnsafePlan(PartError):
    """The archive's answer would remove much of a mirror: refused unless it is meant."""


class CredentialsError(MirrorError):
    """The archive wants a token, or refuses the one that it got (401, 403)."""

    exit_code = 4


class TemporaryError(MirrorError):
    """The archive did not answer, or not in a way that holds still; running again may help."""

    exit_code = 5


class DiskError(MirrorError):
    """The local disk is full, read-only or not ours to write."""

    exit_code = 6

    @classmethod
    def of(cls, path: object, error: Exception) -> DiskError:
        """What the system, or SQLite in words of its own, says of a file."""
        said = getattr(error, "strerror", None) or str(error)
        return cls(f"{path}: {'No space left on device' if said == 'database or disk is full' else said}")


class IntegrityError(MirrorError):
    """Two facts that must agree do not: a tag and its version, a text file and its digest."""

    exit_code = 7


class LockedError(MirrorError):
    """Another run holds the dataset."""

    exit_code = 75


class NotFoundError(PartError):
    """The archive says that this does not exist (404)."""


class BadAnswerError(TemporaryError):
    """The archive's answer is not what its API promises: wrong type, too large, too deep, not JSON."""


def exit_code(codes: set[int]) -> int:
    """One code for a run: an alarm or a full disk wins; else what all failures share; else 3."""
    failures = codes - {0}
    for worst in (7, 6, 1):
        if worst in failures:
            return worst
    return 0 if not failures else failures.pop() if len(failures) == 1 else 3
