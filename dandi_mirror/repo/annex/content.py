"""Get content with git-annex: find the files that match globs, and fetch their keys."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryFile
from threading import Timer
from typing import IO

from dandi_mirror.repo.annex.settings import ADDRESSES
from dandi_mirror.repo.git.process import failure, git, start

_NO_WEB = (
    "-c", "remote.web.annex-ignore=true", "-c", "remote.bittorrent.annex-ignore=true",
    "-c", "remote.dandiapi.annex-ignore=true",
)  # fmt: skip
"""Keeps git-annex from its remotes that ask any URL."""

_NO_EMBARGOED = ("-c", "remote.dandi-embargoed.annex-ignore=true")


_NOT_ALLOWED = re.compile(rf"{re.escape(ADDRESSES)} does not allow accessing address (\S+)")
_UNVERIFIED = "Getting VURL keys with this remote is not secure"
_IGNORED = re.compile(r" ?\(Note that these git remotes have annex-ignore set: [^)]*\)")
"""A hint of git-annex about what this module itself sets; nobody who reads it can change that."""
_NOWHERE = "no other repository that was asked has it"
_TOO_OLD = (
    "this git-annex cannot verify a file that was sent to the archive in parts, so it gets none that is embargoed; "
    "git-annex 10.20240227 and newer can: pip install -U git-annex"
)
BUSY = "transfer already in progress"
"""What git-annex reports about a key that another git-annex is getting."""


@dataclass(frozen=True, slots=True)
class AnnexedFile:
    """A file whose content git-annex has or can get."""

    path: str
    key: str
    size: int
    """Bytes."""


def matching(folder: Path, branch: str, globs: Sequence[str], *, here: bool) -> list[AnnexedFile]:
    """The files of a branch that match one of the globs and whose content is present (``here``) or absent.

    Raises:
        GitError: git-annex does not understand a glob, or failed otherwise.
    """
    where = ["--in=here"] if here else ["--not", "--in=here"]
    either = [word for glob in globs for word in ("--or", f"--include={glob}")][1:]
    found = git(folder, "annex", "find", f"--branch={branch}", "--json", *where, "-(", *either, "-)")
    rows = [json.loads(line) for line in found.splitlines()]
    return [AnnexedFile(row["file"], row["key"], int(row["bytesize"])) for row in rows if row["bytesize"]]


def keys_at(folder: Path, place: str) -> list[str]:
    """The keys for which git-annex knows a URL that holds ``place``, from its branch.

    Raises:
        GitError: git failed.
    """
    arguments = ("grep", "-l", "-z", "-F", "-e", place, "refs/heads/git-annex", "--", "*.log.web")
    child = start(folder, arguments)
    found, errors = child.communicate()
    if child.returncode not in {0, 1}:  # 1: nothing found
        raise failure(folder, arguments, child.returncode, errors)
    names = found.decode(errors="surrogateescape").split("\0")[:-1]
    return [name.rpartition("/")[2].removesuffix(".log.web") for name in names]


def get(
    folder: Path,
    keys: Iterable[str],
    deadline: float | None,
    *,
    secrets: bool = False,
    web: bool = True,
    ignored: Iterable[str] = (),
    arrived: Callable[[int], None] | None = None,
) -> Generator[tuple[str, str], None, None]:
    """Get the content of keys, one after the other; yields each key with the reason why it failed (empty: it worked).

    git-annex gets the next key only when the caller asks for it, so a caller may stop at any key.  At the ``deadline``
    (of ``time.monotonic()``) git-annex is stopped; it can continue the download another time.  ``secrets``: pass it
    the API keys of the environment.  ``web``: whether git-annex may request the URLs that it knows.  ``ignored``:
    the names of remotes that it must not ask.  ``arrived`` is called with the bytes of the current key on disk.

    Raises:
        DiskError, GitError: git-annex ended too early.
    """
    told = ["--json-progress"] if arrived else []
    without = [word for name in ignored for word in ("-c", f"remote.{name}.annex-ignore=true")]
    arguments = (
        *(() if web else _NO_WEB),
        *without,
        "annex",
        "get",
        "--batch-keys",
        "--json",
        "--json-error-messages",
        *told,
    )
    with TemporaryFile() as errors:
        # it may run for hours, so it must not inherit the locks of another thread
        child = start(folder, arguments, stderr=errors.fileno(), locks=False, secrets=secrets, remotes=True)
        assert child.stdin and child.stdout
        with _ended(child, deadline):
            for key in keys:
                try:
                    child.stdin.write(key.encode() + b"\n")
                    child.stdin.flush()
                    line = _answer(child.stdout, arrived)
                except BrokenPipeError:
                    line = b""
                if not line and deadline is not None and time.monotonic() >= deadline:
                    return
                if not line:
                    child.wait()
                    errors.seek(0)
                    raise failure(folder, arguments, child.returncode, errors.read())
                # an empty line: the content is here already, because another run got it meanwhile
                yield key, _reason(json.loads(line)) if line.strip() else ""


@contextmanager
def _ended(child: Popen[bytes], deadline: float | None) -> Iterator[None]:
    """Wait for a program at the end of the block; stop it at the deadline, or if the block fails."""
    clock = Timer(0 if deadline is None else max(0.0, deadline - time.monotonic()), child.terminate)
    clock.daemon = True
    if deadline is not None:
        clock.start()
    with child:
        try:
            yield
        except BaseException:
            # git ends git-annex before it ends itself: wait for both
            child.terminate()
            child.wait()
            raise
        finally:
            clock.cancel()


def _answer(lines: IO[bytes], arrived: Callable[[int], None] | None) -> bytes:
    """The line that ends a key; lines before it tell how far the key has come."""
    for line in lines:
        if arrived is None or b'"byte-progress"' not in line:
            return line
        arrived(int(json.loads(line)["byte-progress"]))
    return b""


def refused_address(reason: str) -> str:
    """The address that git-annex did not ask, because its settings do not allow it; empty for another reason."""
    found = _NOT_ALLOWED.search(reason)
    return found[1].rstrip(".,;)") if found else ""


def _reason(answer: dict[str, object]) -> str:
    if answer.get("success"):
        return ""
    messages = answer.get("error-messages")
    said = " ".join(str(message) for message in messages) if isinstance(messages, list) else ""
    if _UNVERIFIED in said:
        return _TOO_OLD  # git-annex itself names a setting that would let it take anything
    words = _IGNORED.sub("", " ".join((said or str(answer.get("note", ""))).split()))
    return {"not available": _NOWHERE, "": "git-annex does not say why"}.get(words, words)


def drop(folder: Path, keys: Iterable[str], numcopies: int) -> Iterator[tuple[str, str]]:
    """Drop the content of keys; yields each key with the reason why it stayed (empty: it is dropped).

    git-annex looks before each drop whether ``numcopies`` other repositories have the content.  The archive's URLs do
    not count as one.

    Raises:
        DiskError, GitError: git-annex ended too early; what it did not drop is still here.
    """
    arguments = (*_NO_WEB, *_NO_EMBARGOED, "annex", "drop", f"--numcopies={numcopies}", "--batch-keys", "--json",
                 "--json-error-messages")  # fmt: skip
    with TemporaryFile() as errors:
        child = start(folder, arguments, stderr=errors.fileno(), locks=False, remotes=True)
        assert child.stdin and child.stdout
        with _ended(child, None):
            for key in keys:
                try:
                    child.stdin.write(key.encode() + b"\n")
                    child.stdin.flush()
                    line = child.stdout.readline()
                except BrokenPipeError:
                    line = b""
                if not line:
                    child.wait()
                    errors.seek(0)
                    raise failure(folder, arguments, child.returncode, errors.read())
                yield key, _reason(json.loads(line)) if line.strip() else ""
