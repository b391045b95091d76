"""The peer's way of recording assets: git-annex's batch commands, one asset after another, then a commit.

As backups2datalad does for each new blob: ``examinekey``, ``fromkey``, ``registerurl`` twice, ``whereis``;
each through a pipe to one running process that answers before the next asset is sent.  Left out, to its
advantage: one ``git rm`` and one HEAD request an asset, and all of its own work.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from benchmarks.archive import entry
from dandi_mirror.archive.zarr_entry import ZarrEntry
from dandi_mirror.mirror.zarr.entries import entry_key
from dandi_mirror.repo.git.process import child_environment, find_program

# git-annex commits its journal at times of its own, and fails if git has no user name
_IDENTITY = {"GIT_AUTHOR_NAME": "peer", "GIT_AUTHOR_EMAIL": "peer@example.org",
             "GIT_COMMITTER_NAME": "peer", "GIT_COMMITTER_EMAIL": "peer@example.org"}  # fmt: skip


class Pipe:
    """A running batch command."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._child = subprocess.Popen(
            [find_program("git-annex"), *arguments], cwd=folder, env=child_environment() | _IDENTITY, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert self._child.stdin and self._child.stdout
        self._in: IO[str] = self._child.stdin
        self._out: IO[str] = self._child.stdout

    def ask(self, line: str) -> str:
        """One answer for one line."""
        self._in.write(line + "\n")
        self._in.flush()
        return self._out.readline().strip()

    def close(self) -> None:
        """End it; it writes what it holds."""
        self._in.close()
        self._child.wait()


def record(folder: Path, count: int) -> float:
    """Record ``count`` assets in a new dataset at ``folder``; seconds."""
    _make(folder, "SHA256E")
    entries = [entry(number) for number in range(count)]
    start = time.monotonic()
    examine = Pipe(folder, "examinekey", "--batch", "--migrate-to-backend=SHA256E")
    from_key = Pipe(folder, "fromkey", "--force", "--batch", "--json", "--json-error-messages")
    register = Pipe(folder, "registerurl", "--batch", "--json", "--json-error-messages")
    whereis = Pipe(folder, "whereis", "--batch-keys", "--json", "--json-error-messages")
    for item in entries:
        digest = item["metadata"]["digest"]["dandi:sha2-256"]
        key = examine.ask(f"SHA256-s{item['size']}--{digest} {item['path'].rpartition('/')[2]}")
        from_key.ask(f"{key} {item['path']}")
        blob = item["blob"]
        register.ask(f"{key} https://dandiarchive.s3.amazonaws.com/blobs/{blob[:3]}/{blob[3:6]}/{blob}")
        register.ask(f"{key} https://api.dandiarchive.org/api/assets/{item['asset_id']}/download/")
        whereis.ask(key)
    for pipe in (examine, from_key, register, whereis):
        pipe.close()
    _run(folder, "git", "annex", "merge", "-q")
    _run(folder, "git", "-c", "annex.supportunlocked=false", "commit", "-q", "-m", f"{count} files added")
    return time.monotonic() - start


def record_entries(folder: Path, entries: Sequence[ZarrEntry], urls: Callable[[str, ZarrEntry], list[str]]) -> float:
    """Record the entries of a Zarr in a new dataset at ``folder``, as for each new entry of a Zarr; seconds."""
    _make(folder, "MD5E")
    start = time.monotonic()
    from_key = Pipe(folder, "fromkey", "--force", "--batch", "--json", "--json-error-messages")
    register = Pipe(folder, "registerurl", "--batch", "--json", "--json-error-messages")
    for item in entries:
        key = entry_key(item.path, item.size, item.etag)
        from_key.ask(f"{key} {item.path}")
        for url in urls("0c1f3f9e-7d5f-4b8c-9b1a-2f6f1f0d9a11", item):
            register.ask(f"{key} {url}")
    for pipe in (from_key, register):
        pipe.close()
    _run(folder, "git", "annex", "merge", "-q")
    _run(folder, "git", "-c", "annex.supportunlocked=false", "commit", "-q", "-m", f"{len(entries)} files added")
    return time.monotonic() - start


def _make(folder: Path, backend: str) -> None:
    folder.mkdir(parents=True)
    _run(folder, "git", "init", "-q")
    _run(folder, "git", "config", "annex.backend", backend)
    _run(folder, "git", "annex", "init", "-q", "peer")


def _run(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, check=True, env=child_environment() | _IDENTITY)
