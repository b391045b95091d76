"""Start, ask and end one process that reads files which may be hostile or damaged."""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import site
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dandi_mirror.errors import DiskError, MirrorError, PartError
from dandi_mirror.repo.git.process import adopt, child_environment
from dandi_mirror.text import how_to_install

LOG = logging.getLogger("dandi_mirror")

PROGRAM = "dandi_mirror.upload.read.worker_program"
STARTING = 120.0
"""Seconds in which dandi must be imported."""
LONGEST_ANSWER = 32 << 20
"""Bytes of an answer; metadata are never larger."""
Give = Callable[[Mapping[str, Any]], tuple[dict[str, Any], bytes]]
"""Gives the worker what it asks for while it reads; it may ask for anything, because a file may have taken it over."""
_HOMES = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "TMPDIR", "DENO_DIR")


class FileError(PartError):
    """A file cannot be read as what it claims to be; the message says why, without the file's name."""


class _Crashed(FileError):
    """The process has ended."""


class WornOut(FileError):
    """As above, for a process that has read other files before; a new process may succeed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What reading one file may use."""

    seconds: float = 600.0
    memory: int = 4 << 30
    """Bytes that a process may write to; files that it maps do not count."""
    files: int = 512
    """Open at a time."""
    written: int = 256 << 20
    """Bytes of any file that it writes, where it is not asked to edit one."""


class WorkerProcess:
    """One process, and the pipes to it."""

    def __init__(self, limits: Limits, home: Path) -> None:
        """Starts it."""
        self._limits = limits
        try:
            self._home = Path(tempfile.mkdtemp(dir=home))
            with (self._home / "stderr").open("wb") as errors:
                # -P: no module may come from the folder that this was started in
                self._child = subprocess.Popen(
                    [sys.executable, "-P", "-m", PROGRAM, json.dumps(asdict(limits)), str(self._home)], cwd=self._home,
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True,
                    env=_environment(self._home),
                )  # fmt: skip
        except OSError as error:
            raise DiskError.of(home, error) from error
        adopt(self._child)
        self._rest = b""
        self._asked = 0

    def begin(self) -> None:
        """Wait until it has dandi.

        Raises:
            MirrorError: it cannot be imported.
        """
        try:
            ready = self._answer(STARTING)
        except FileError as error:
            raise MirrorError(f"dandi cannot be started: {error}; {self._last_words()}") from error
        if reason := ready.get("error"):
            raise MirrorError(f"dandi cannot be imported: {reason}; {how_to_install('upload')}")

    @property
    def alive(self) -> bool:
        """Whether it can be asked again."""
        return self._child.poll() is None

    def ask(self, asked: Mapping[str, Any], give: Give | None = None) -> dict[str, Any]:
        """The answer to a request; the time that ``give`` takes does not count.

        Raises:
            FileError: it died, or there was none in time.
        """
        before, self._asked = self._asked, self._asked + 1
        self._send(json.dumps(asked).encode() + b"\n", self._limits.seconds)
        until = time.monotonic() + self._limits.seconds
        try:
            while "asks" in (answer := self._answer(until - time.monotonic())):
                if not give:
                    raise FileError("reading it ended the reader; it may be made with bad intent")
                begun = time.monotonic()
                told, content = give(answer["asks"])
                until += time.monotonic() - begun
                self._send(json.dumps(told | {"size": len(content)}).encode() + b"\n" + content, self._limits.seconds)
        except _Crashed as error:
            raise (WornOut if before else FileError)(str(error)) from None
        if answer.get("ends"):
            raise (WornOut if before else FileError)(answer["error"])
        return answer

    def _send(self, content: bytes, seconds: float) -> None:
        """Write to it, however long it takes to read that; how it may have ended is said with its answer."""
        assert self._child.stdin is not None
        descriptor, until = self._child.stdin.fileno(), time.monotonic() + seconds
        os.set_blocking(descriptor, False)
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        rest = memoryview(content)
        with suppress(BrokenPipeError):
            while rest:
                if not poll.poll(max(0, until - time.monotonic()) * 1000):
                    raise self._too_long()
                with suppress(BlockingIOError):
                    rest = rest[os.write(descriptor, rest) :]

    def _answer(self, seconds: float) -> dict[str, Any]:
        assert self._child.stdout is not None
        descriptor, until = self._child.stdout.fileno(), time.monotonic() + seconds
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        pieces = [self._rest]
        length = len(self._rest)
        while b"\n" not in pieces[-1]:
            left = until - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise self._too_long()
            piece = os.read(descriptor, 1 << 16)
            if not piece:
                raise self._how_it_ended()
            pieces.append(piece)
            length += len(piece)
            if length > LONGEST_ANSWER:
                raise FileError(f"what it says about itself is more than {LONGEST_ANSWER >> 20} MiB")
        line, _, self._rest = b"".join(pieces).partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _too_long(self) -> FileError:
        seconds = self._limits.seconds if self._asked else STARTING
        return FileError(f"reading it did not end within {seconds:.0f} seconds")

    def _how_it_ended(self) -> FileError:
        code = self._child.wait()
        LOG.debug("the worker ended with %d: %s", code, self._last_words())
        if code == -signal.SIGALRM:
            return self._too_long()
        how = (
            f"crashed the reader ({signal.Signals(-code).name})" if code < 0 else f"ended the reader (exit code {code})"
        )
        return _Crashed(f"reading it {how}; the file may be damaged")

    def _last_words(self) -> str:
        with suppress(OSError):
            lines = (self._home / "stderr").read_bytes()[-4000:].decode(errors="replace").splitlines()
            return " ".join(lines[-1:])[:300] or "no message"
        return "no message"

    def kill(self) -> None:
        """End it and all that it has started, at once."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, signal.SIGKILL)

    def end(self) -> None:
        """The same, with its pipes closed; only for who asks it, or where nobody does."""
        self.kill()
        for pipe in (self._child.stdin, self._child.stdout):
            with suppress(OSError):
                if pipe:
                    pipe.close()
        self._child.wait()


def _environment(home: Path) -> dict[str, str]:
    """No token, no network for what asks by the usual variables, nothing kept from file to file."""
    kept = {name: value for name, value in child_environment().items() if not name.startswith(("DANDI", "XDG_"))}
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"),
                            "http://127.0.0.1:9")  # fmt: skip
    return kept | nowhere | dict.fromkeys(_HOMES, str(home)) | {
        "DANDI_NO_ET": "1",
        "NO_ET": "1",
        "DANDI_CACHE": "ignore",
        "DENO_NO_UPDATE_CHECK": "1",
        "HDF5_USE_FILE_LOCKING": "FALSE",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONUSERBASE": site.getuserbase(),
        "PYTHONWARNINGS": "ignore",
    }  # fmt: skip
