"""The program, loaded once: a test that runs a command gets a fork of it, which costs a tenth of a new process.

What a fork inherits is what a process of its own would have after its imports.  It has its own folder, environment,
streams, session and exit code.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

TOP = Path(__file__).parents[2]
_NOT_LOADED = (".embedded", ".demo", ".datalad_extension", "worker_program", "__main__", ".archive.keyrings")
"""What a command does not import, runs when it is imported, or reads the environment then."""
_AT_START = ("PYTHON", "LC_", "LANG", "COVERAGE", "LD_", "DYLD_")
"""Beginnings of variables that Python, or what loads it, reads when it starts."""
_OWN = {"PYTHON_KEYRING_BACKEND", "PYTEST_CURRENT_TEST"}


def _python(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_AT_START) and name not in _OWN}


_BEFORE_ALL = _python(os.environ)
"""Those of this process before the first test, which may change them."""


class Loaded:
    """Starts commands; what starts them lives as long as this process."""

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._folder = tempfile.mkdtemp(prefix="dandi-mirror-loaded-")
        self._place = f"{self._folder}/socket"
        self._child = self._started()
        atexit.register(self.end)

    def _started(self) -> subprocess.Popen[bytes]:
        others = {name: value for name, value in os.environ.items() if name not in _python(os.environ)}
        child = subprocess.Popen(
            [sys.executable, "-P", "-c", "from tests.support.loaded import serve; serve()", self._place],
            env={**others, **_BEFORE_ALL, "PYTHONPATH": str(TOP)}, cwd="/",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert child.stdout
        child.stdout.read()  # until it listens
        return child

    def fits(self, environment: Mapping[str, str]) -> bool:
        """Whether Python would start in the same way with these variables; not in a fork of this process."""
        if os.getpid() != self._owner:
            return False  # a fork may be another user
        if self._child.poll() is not None:  # a test that ends processes has ended this one, too
            Path(self._place).unlink(missing_ok=True)
            self._child = self._started()
        return _python(environment) == _BEFORE_ALL

    @property
    def pid(self) -> int:
        """Of what starts the commands."""
        return self._child.pid

    def run(
        self, arguments: Sequence[str], cwd: Path | None, environment: Mapping[str, str], stdin: str | None, most: float
    ) -> subprocess.CompletedProcess[str]:
        """Run ``dandi-mirror arguments`` for ``most`` seconds at most, as :func:`subprocess.run` does."""
        asked = {
            "command": arguments, "folder": str(cwd or Path.cwd()), "environment": dict(environment), "umask": _umask(),
        }  # fmt: skip
        pipes = [os.pipe() for _ in range(3)]
        (in_end, to_it), *(out, errors) = pipes
        with socket.socket(socket.AF_UNIX) as connection, ThreadPoolExecutor(2) as pool:
            connection.connect(self._place)
            message = json.dumps(asked).encode()
            socket.send_fds(connection, [len(message).to_bytes(8, "big")], [in_end, out[1], errors[1]])
            connection.sendall(message)
            for descriptor in (in_end, out[1], errors[1]):
                os.close(descriptor)
            said = [pool.submit(_text, descriptor) for descriptor in (out[0], errors[0])]
            with suppress(BrokenPipeError), open(to_it, "w") as file:  # noqa: PTH123
                file.write(stdin or "")
            child = int.from_bytes(_exactly(connection, 8), "big")
            connection.settimeout(most)
            try:
                code = int.from_bytes(_exactly(connection, 4), "big", signed=True)
            except TimeoutError:
                os.killpg(child, signal.SIGKILL)
                raise subprocess.TimeoutExpired(["dandi-mirror", *arguments], most) from None
        return subprocess.CompletedProcess(["dandi-mirror", *arguments], code, *(text.result() for text in said))

    def end(self) -> None:
        """End what starts the commands."""
        if os.getpid() != self._owner:
            return
        assert self._child.stdin
        self._child.stdin.close()
        self._child.wait()
        with suppress(OSError):
            os.unlink(self._place)  # noqa: PTH108
            os.rmdir(self._folder)  # noqa: PTH106


@cache
def loaded() -> Loaded:
    """The one of this process."""
    return Loaded()


def end_loaded() -> None:
    """End what starts the commands, if it was begun."""
    if loaded.cache_info().currsize:
        loaded().end()


def _umask() -> int:
    """This process's, without changing it for a moment, in which another thread might make a file."""
    try:
        facts = Path("/proc/self/status").read_text()
        return int(next(line for line in facts.splitlines() if line.startswith("Umask:")).split()[1], 8)
    except OSError:  # not Linux
        os.umask(umask := os.umask(0))
        return umask


def _text(descriptor: int) -> str:
    with open(descriptor) as file:
        return file.read()


def _exactly(connection: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        if not (piece := connection.recv(count - len(found))):
            raise RuntimeError("what starts the commands has ended")
        found += piece
    return found


def load() -> None:
    """Import all that a command may import."""
    _load("dandi_mirror")
    gc.collect()
    gc.freeze()  # a fork copies what it looks at


def _load(name: str) -> None:
    if any(part in name for part in _NOT_LOADED):
        return
    module = importlib.import_module(name)
    for below in pkgutil.iter_modules(getattr(module, "__path__", ()), f"{name}."):
        _load(below.name)


def serve() -> None:
    """Load the program, and fork it for each connection, until standard input ends."""
    load()
    with socket.socket(socket.AF_UNIX) as listening, selectors.DefaultSelector() as selector:
        listening.bind(sys.argv[1])
        listening.listen(64)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 1)  # whoever waits knows now
        ended, told = socket.socketpair()
        for sock in (ended, told):
            sock.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(told.fileno())
        for source in (0, listening, ended):
            selector.register(source, selectors.EVENT_READ)
        _serve(selector, listening, ended)


def _serve(selector: selectors.BaseSelector, listening: socket.socket, ended: socket.socket) -> None:
    asking: dict[int, socket.socket] = {}
    while True:
        ready = {key.fileobj for key, _ in selector.select()}
        if listening in ready:
            connection, _ = listening.accept()
            if (child := os.fork()) == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                selector.close()
                for other in (*asking.values(), listening, ended):
                    other.close()
                _become(connection)
                run_program()
            asking[child] = connection
            connection.sendall(child.to_bytes(8, "big"))
        if ended in ready:
            ended.recv(1024)
            for child in list(asking):
                found, status = os.waitpid(child, os.WNOHANG)
                if found:
                    with suppress(OSError), asking.pop(child) as connection:
                        connection.sendall(os.waitstatus_to_exitcode(status).to_bytes(4, "big", signed=True))
        if 0 in ready:
            return


def _become(connection: socket.socket) -> None:
    """Be the process that somebody starts by typing a command."""
    head, streams, _, _ = socket.recv_fds(connection, 8, 3)
    asked: dict[str, Any] = json.loads(_exactly(connection, int.from_bytes(head, "big")))
    connection.close()
    for wanted, descriptor in enumerate(streams):
        os.dup2(descriptor, wanted)
        os.close(descriptor)
    # as Python opens them; those that are here know that they were another file
    sys.stdin = open(0, encoding=sys.stdin.encoding, errors=sys.stdin.errors, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, encoding=sys.stderr.encoding, errors=sys.stderr.errors, closefd=False)  # noqa: SIM115
    os.umask(asked["umask"])
    become(asked["folder"], asked["environment"], asked["command"])


def become(folder: str, environment: Mapping[str, str], command: Sequence[str]) -> None:
    """Be in a folder, with these variables and arguments."""
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.argv = ["dandi-mirror", *command]
    sys.orig_argv = [sys.executable, "-m", "dandi_mirror", *command]


def run_program() -> NoReturn:
    """Run the program, and end as Python ends, but for what takes time and does nothing."""
    from dandi_mirror.cli.main import main

    code: object = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code if isinstance(code, int) else 1)
