"""Processes that import dandi and read files for which nobody vouches.

One is started when it is needed and reads many files.  It has no token, no network and a home of its own, and may
take so much memory and time.  A file that kills it, or that it does not come to an end with, is that file's error; the
next file goes on in a new one.
"""

from __future__ import annotations

import json
import logging
import os
import select
import shutil
import signal
import site
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from queue import LifoQueue
from types import TracebackType
from typing import Any

from dandi_mirror.errors import DiskError, MirrorError, PartError, UsageError
from dandi_mirror.repo.process import adopt, child_environment

LOG = logging.getLogger("dandi_mirror")

PROGRAM = "dandi_mirror.upload.inside"
STARTING = 120.0
"""Seconds in which dandi must be imported."""
LONGEST_ANSWER = 32 << 20
"""Bytes; what a file makes larger than this is no metadata."""
_HOMES = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "TMPDIR", "DENO_DIR")


class FileError(PartError):
    """A file cannot be read as what it claims to be; the message says why, without the file's name."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may take."""

    seconds: float = 600.0
    memory: int = 4 << 30
    """Bytes that a process may write to; files that it maps do not count."""
    files: int = 512
    """Open at a time."""
    written: int = 256 << 20
    """Bytes of any file that it writes, where it is not asked to edit one."""


class Worker:
    """Up to ``jobs`` processes; any number of threads may ask at a time."""

    def __init__(self, jobs: int = 1, limits: Limits | None = None) -> None:
        """Starts nothing yet.

        Raises:
            UsageError: dandi is not installed.
        """
        if find_spec("dandi") is None:
            raise UsageError("this needs the dandi client; type: pip install 'dandi-mirror[upload]'")
        self._limits = limits or Limits()
        self._home = Path(tempfile.mkdtemp(prefix="dandi-mirror-"))
        self._idle: LifoQueue[_Process | None] = LifoQueue()
        for _ in range(jobs):
            self._idle.put(None)
        self._jobs = jobs

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Ends every process that is idle, at once; one that is asked ends by itself."""
        while not self._idle.empty():
            if process := self._idle.get_nowait():
                process.end()
        shutil.rmtree(self._home, ignore_errors=True)

    # --- what may be asked -----------------------------------------------------------------------------------

    def schema_version(self) -> str:
        """The version of the schema that dandi writes.

        Raises:
            MirrorError: dandi could not be imported.
        """
        return str(self._ask("schema_version"))

    def asset_metadata(
        self, file: Path, path: str, root: Path, digests: Mapping[str, str], schema_version: str
    ) -> dict[str, Any]:
        """The record of an asset as ``dandi upload`` makes it.

        ``path`` is its path in the Dandiset, whose top is ``root``; ``digests`` has ``dandi:dandi-etag``, and what else
        the record shall hold; ``schema_version`` is the archive's: a newer record is brought down to it where that is
        possible.

        Raises:
            FileError: there is none.
        """
        asked = {"file": str(file), "path": path, "root": str(root), "digests": dict(digests), "schema": schema_version}
        return dict(self._ask("asset_metadata", asked))

    def nwb_facts(self, file: Path) -> dict[str, Any]:
        """What an NWB file says of itself that its name is made of; and the media files that it refers to.

        Keys: ``path`` as given, the fields of a name (``subject_id``, ``session_id``, …), ``object_id``, ``nd_types``,
        and ``media``: a list of ``id``, ``field`` and ``files`` (as they are written in the file).

        Raises:
            FileError: it cannot be read.
        """
        return dict(self._ask("nwb_facts", {"file": str(file)}))

    def nwb_names(self, facts: Sequence[Mapping[str, Any]], required: Sequence[str] = ()) -> dict[str, str]:
        """The name of each file: its ``path`` of :meth:`nwb_facts` → where it belongs in the Dandiset.

        Names depend on what is named together, as dandi's do; ``required`` are fields that every name shall have.

        Raises:
            FileError: there are no names that tell the files apart.
        """
        return dict(self._ask("nwb_names", {"facts": [dict(one) for one in facts], "required": list(required)}))

    def rewrite_media(self, file: Path, media: Sequence[Mapping[str, Any]]) -> None:
        """Let an NWB file refer to its media files by new names: ``media`` of :meth:`nwb_facts`, each with ``renamed``.

        Raises:
            FileError: it does not do so afterwards.
        """
        self._ask("rewrite_media", {"file": str(file), "media": [dict(one) for one in media]}, writes=True)

    def findings(self, file: Path, path: str, root: Path, *, present: bool = True) -> list[dict[str, Any]]:
        """What ``dandi validate`` says of a file of the Dandiset at ``root``; of a BIDS dataset, by its description.

        Each has ``severity`` (``INFO``, ``HINT``, ``WARNING``, ``ERROR``, ``CRITICAL``), ``id``, ``message``, ``path``
        (in the Dandiset), ``within`` (the place in the file, or empty), ``validator``, ``standard``.
        Of a file that is not ``present``, only its path is looked at.

        Raises:
            FileError: it killed the process, or did not come to an end.
        """
        return list(self._ask("findings", {"file": str(file), "path": path, "root": str(root), "present": present}))

    # --- how it is asked -------------------------------------------------------------------------------------

    def _ask(self, what: str, asked: Mapping[str, Any] | None = None, *, writes: bool = False) -> Any:
        with self._process() as process:
            answer = process.ask({"what": what, "writes": writes, **(asked or {})})
        if "error" in answer:
            raise FileError(answer["error"])
        return answer["value"]

    @contextmanager
    def _process(self) -> Iterator[_Process]:
        process = self._idle.get()
        try:
            if process is None:
                process = _Process(self._limits, self._home)
            yield process
        except BaseException:
            if process:
                process.end()
            process = None
            raise
        finally:
            self._idle.put(process if process and process.alive else None)


class _Process:
    """One process, and the pipes to it."""

    def __init__(self, limits: Limits, home: Path) -> None:
        """Starts it, and waits until it has dandi."""
        self._limits = limits
        try:
            self._home = Path(tempfile.mkdtemp(dir=home))
            with (self._home / "stderr").open("wb") as errors:
                # -P: no module may come from the folder that this was started in
                self._child = subprocess.Popen(
                    [sys.executable, "-P", "-m", PROGRAM, json.dumps(asdict(limits))], cwd=self._home,
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True,
                    env=_environment(self._home),
                )  # fmt: skip
        except OSError as error:
            raise DiskError.of(home, error) from error
        adopt(self._child)
        self._rest = b""
        try:
            ready = self._answer(STARTING)
        except FileError as error:
            self.end()
            raise MirrorError(f"dandi cannot be started: {error}; {self._last_words()}") from error
        except BaseException:
            self.end()
            raise
        if reason := ready.get("error"):
            self.end()
            raise MirrorError(f"dandi cannot be imported: {reason}; try: pip install -U 'dandi-mirror[upload]'")

    @property
    def alive(self) -> bool:
        """Whether it can be asked again."""
        return self._child.poll() is None

    def ask(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a request.

        Raises:
            FileError: it died, or there was none in time.
        """
        assert self._child.stdin is not None
        # how it may have ended is said below
        with suppress(BrokenPipeError):
            self._child.stdin.write(json.dumps(asked).encode() + b"\n")
            self._child.stdin.flush()
        return self._answer(self._limits.seconds)

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
                raise FileError(f"reading it did not end within {seconds:.0f} seconds")
            piece = os.read(descriptor, 1 << 16)
            if not piece:
                raise FileError(self._how_it_ended())
            pieces.append(piece)
            length += len(piece)
            if length > LONGEST_ANSWER:
                raise FileError(f"what it says of itself is more than {LONGEST_ANSWER >> 20} MiB")
        line, _, self._rest = b"".join(pieces).partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _how_it_ended(self) -> str:
        code = self._child.wait()
        LOG.debug("the worker ended with %d: %s", code, self._last_words())
        if code == -signal.SIGALRM:
            return f"reading it did not end within {self._limits.seconds:.0f} seconds"
        if code < 0:
            return f"reading it crashed the reader ({signal.Signals(-code).name}); the file may be damaged"
        return f"reading it ended the reader (exit code {code}); the file may be damaged"

    def _last_words(self) -> str:
        with suppress(OSError):
            lines = (self._home / "stderr").read_bytes()[-4000:].decode(errors="replace").splitlines()
            return " ".join(lines[-1:])[:300] or "no message"
        return "no message"

    def end(self) -> None:
        """End it and all that it has started, at once."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, signal.SIGKILL)
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
