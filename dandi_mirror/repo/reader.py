"""Reading many objects of a repository through one git."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

from dandi_mirror.repo import process
from dandi_mirror.repo.process import GitError

_BATCH = 1024


class Reader:
    """A running ``git cat-file``, which answers when it has read a batch of names, and not each by itself."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._child = process.start(folder, ["cat-file", "--batch-command", "--buffer"], stderr=subprocess.DEVNULL)

    def read(self, names: list[str]) -> Iterator[bytes | None]:
        """The content of each named object, None for one that is not there; in order.

        Names are object ids or ``ref:path`` without a newline.
        """
        assert self._child.stdin is not None
        for start in range(0, len(names), _BATCH):
            batch = names[start : start + _BATCH]
            try:
                self._child.stdin.write("".join(f"contents {name}\n" for name in batch).encode() + b"flush\n")
                self._child.stdin.flush()
            except BrokenPipeError:
                raise self._cut_off() from None
            yield from (self._one() for _ in batch)

    def _one(self) -> bytes | None:
        assert self._child.stdout is not None
        header = self._child.stdout.readline()
        if header.endswith(b" missing\n") or header.endswith(b" ambiguous\n"):
            return None
        if not header.endswith(b"\n"):
            raise self._cut_off()
        size = int(header.rsplit(b" ", 1)[1])
        content = self._child.stdout.read(size + 1)
        if len(content) <= size:
            raise self._cut_off()
        return content[:-1]

    def _cut_off(self) -> GitError:
        return GitError(f"{self._folder}: git cat-file ended before its work was done; run this again")

    def close(self) -> None:
        """End the program."""
        self._child.kill()
        self._child.communicate()
