"""Run ``git fast-import``, and write its stream to it."""

from __future__ import annotations

import fcntl
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from dandi_mirror.errors import DiskError, MirrorError
from dandi_mirror.repo.git import process
from dandi_mirror.repo.git.stream import Commit, TreeEntry, blob_id, data, quote

_BUFFER = 1 << 17
_PIPE = 1 << 20
"""Bytes in the pipe, so that git can read while we make the next ones."""
# Deltas between neighbours in the stream and full compression cost a third of git's time and save at most a tenth of
# the pack; `git gc` finds better deltas later (docs/performance.md has the figures).
_FAST = ("-c", "pack.compression=1")
_EVERY_NAME = ("-c", "core.ignoreCase=false")
"""Where a disk folds case, ``git init`` sets it, and fast-import would drop one of ``a.nwb`` and ``A.nwb``."""

_QUESTIONS = 256
"""Questions at a time: few enough that git's answers fit into a pipe while it still reads."""


class Importer:
    """A running ``git fast-import``; at the end of its block the stream ends and we wait; after an error we kill it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._arguments = [*_FAST, *_EVERY_NAME, "fast-import", "--quiet", "--done", "--date-format=raw", "--depth=0"]
        # git may write to stderr while it reads; it would stop if that were a pipe that fills up
        try:
            self._said = tempfile.TemporaryFile()  # noqa: SIM115
        except OSError as error:
            raise DiskError.of(tempfile.gettempdir(), error) from error
        self._child = self._start()
        self._parts: list[bytes] = []
        self._held = 0

    def _start(self) -> subprocess.Popen[bytes]:
        child = process.start(self._folder, self._arguments, stderr=self._said.fileno())
        assert child.stdin is not None
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with suppress(OSError):  # the system limits a user's memory in pipes
                fcntl.fcntl(child.stdin.fileno(), fcntl.F_SETPIPE_SZ, _PIPE)
        return child

    def __enter__(self) -> Importer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._said:
            if kind is None:
                self.finish()
            elif self._child.returncode is None:
                self._child.kill()
                self._child.communicate()

    def finish(self) -> None:
        """End the stream and wait until git has written all of it to disk; a second call does nothing."""
        if self._child.returncode is not None:
            return
        self._write(b"done\n")
        self._flush()
        self._child.communicate()
        if self._child.returncode:
            raise self._failure()

    def restart(self) -> None:
        """Continue with a new git: one keeps all names of its stream in a table of fixed size, and slows down.

        Marks are lost; refs keep their values.
        """
        self.finish()
        self._child = self._start()

    def blob(self, content: bytes) -> str:
        """Import the content of a file without putting it into a tree; return its object id."""
        self._write(b"blob\n" + data(content))
        return blob_id(content)

    def commit(self, commit: Commit, removed: Iterable[str], files: Iterable[tuple[str, TreeEntry]]) -> None:
        """Import a commit: first the removals, then the files that are new or changed."""
        self.begin(commit)
        for path in removed:
            self.remove(path)
        for path, entry in files:
            self.put(path, entry)
        self.end()

    def begin(self, commit: Commit) -> None:
        """Begin a commit; until :meth:`end`, only :meth:`put`, :meth:`write` and :meth:`remove` may follow."""
        self._write(commit.header())

    def put(self, path: str, entry: TreeEntry) -> None:
        """Set a file of the current commit; it replaces whatever the path held."""
        self._write(entry.modify(quote(path)))

    def write(self, path: bytes, content: bytes) -> None:
        """Set a regular file of the current commit; ``path`` is quoted already."""
        self._write(b"M 100644 inline %b\ndata %d\n%b\n" % (path, len(content), content))

    def remove(self, path: str) -> None:
        """Remove a file from the current commit."""
        self._write(b"D %b\n" % quote(path))

    def end(self) -> None:
        """End the current commit."""
        self._write(b"\n")

    def ids(self, mark: int, paths: Sequence[str]) -> list[str]:
        """The object ids of paths in a marked commit of this stream, in order; empty for a path that does not exist."""
        assert self._child.stdout is not None
        found: list[str] = []
        for start in range(0, len(paths), _QUESTIONS):
            batch = paths[start : start + _QUESTIONS]
            for path in batch:
                self._write(b"ls :%d %b\n" % (mark, quote(path)))
            self._flush()
            for _ in batch:
                # mode, type, id, tab, path; or "missing" and the path; nothing if git has died
                answer = self._child.stdout.readline().split()
                if not answer:
                    raise self._failure()
                found.append(answer[2].decode() if answer[0] != b"missing" else "")
        return found

    def _write(self, piece: bytes) -> None:
        self._parts.append(piece)
        self._held += len(piece)
        if self._held >= _BUFFER:
            self._flush()

    def _flush(self) -> None:
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(b"".join(self._parts))
            self._child.stdin.flush()
        except BrokenPipeError:
            raise self._failure() from None
        finally:
            self._parts, self._held = [], 0

    def _failure(self) -> MirrorError:
        """The error for a git that died, with git's own message."""
        self._child.communicate()
        self._said.seek(0)
        return process.failure(self._folder, self._arguments, self._child.returncode, self._said.read())
