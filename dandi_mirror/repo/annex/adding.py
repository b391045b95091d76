"""Add files of a work tree to git-annex; nothing is committed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import Popen

from dandi_mirror.errors import DiskError, MirrorError
from dandi_mirror.repo.git.process import GitError, failure, start

# no -z: with it, git-annex answers to a path only when the next one comes
_ADD = ("annex", "add", "--batch", "--json", "--json-error-messages")


class NotAdded(GitError):
    """git-annex refuses one file; it accepts further ones."""


class Adder:
    """A running ``git annex add`` that reads one path after the other."""

    def __init__(self, child: Popen[bytes], folder: Path) -> None:
        self.child = child
        self._folder = folder
        self._refused = False

    def add(self, path: str) -> str:
        """Add a file by the rules of ``.gitattributes`` and return its key; empty if git keeps the file itself.

        The path must not contain a newline.  The file is in the index when the block of :func:`adding` ends.

        Raises:
            NotAdded: git-annex refuses this file.
            DiskError, GitError: git-annex failed or died.
        """
        assert self.child.stdin is not None and self.child.stdout is not None
        # if git-annex has died, the error below says why
        with suppress(BrokenPipeError):
            self.child.stdin.write(path.encode(errors="surrogateescape") + b"\n")
            self.child.stdin.flush()
        line = self.child.stdout.readline()
        if not line:
            raise self._failure()
        said = json.loads(line) if line.strip() else {}
        if said and not said.get("success"):
            messages = " ".join(said.get("error-messages") or ["no message"])
            error = failure(self._folder, _ADD, 1, messages.encode())
            self._refused = True
            raise error if isinstance(error, DiskError) else NotAdded(str(error))
        return str(said.get("key") or "")

    def close(self) -> None:
        """End git-annex, which then writes the index.

        Raises:
            DiskError, GitError: it could not write the index.
        """
        assert self.child.stdin is not None
        with suppress(BrokenPipeError):
            self.child.stdin.close()
        errors = self.child.stderr.read() if self.child.stderr else b""
        # a refused file makes it fail at the end, too, and add() has reported that
        if self.child.wait() and not self._refused:
            raise failure(self._folder, _ADD, self.child.returncode, errors)

    def _failure(self) -> MirrorError:
        errors = self.child.stderr.read() if self.child.stderr else b""
        return failure(self._folder, _ADD, self.child.wait(), errors)


@contextmanager
def adding(folder: Path) -> Iterator[Adder]:
    """A ``git annex add`` in the work tree at ``folder``; it ends with the block."""
    adder = Adder(start(folder, _ADD), folder)
    try:
        yield adder
    except KeyboardInterrupt:
        # Ctrl-C ends git-annex, too: that is no failure of its own
        with suppress(MirrorError):
            adder.close()
        raise
    except BaseException:
        adder.close()
        raise
    adder.close()
