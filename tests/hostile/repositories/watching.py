"""One command, watched: what it opens and whom it calls, by strace; how long it takes, and how much memory.

The times of last access are no witness (most disks are mounted without), and a program that reads a file may
show nothing of it.  strace's ``-y`` names what a descriptor *is*, after every link was followed.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

SECONDS = 240
"""For one command; undisturbed ones take one, and a host that does not answer is asked for a minute or two."""
MEMORY = 1 << 30
"""Bytes that a command may hold; undisturbed ones hold a tenth."""
ASKED = (
    "from tests.hostile.repositories.serving import ask_and_end; ask_and_end()\n"
    "from dandi_mirror.cli.main import main; main()"
)
"""``dandi-mirror serve``, and who asks it."""
_ADDRESSES = 6 << 30
_FILE = 256 << 20
_CALLS = "trace=open,openat,creat,connect"
TRACING = ("strace", "-f", "--seccomp-bpf", "-qq", "-y", "-s", "300", "-e", "signal=none", "-e", _CALLS)
_OPENED = re.compile(r"^\d+\s+(?:open|openat|creat)\((.*)\)\s+= \d+<(/.*)>$")
_RESUMED = re.compile(r"^\d+\s+<\.\.\. (?:open|openat|creat) resumed>(.*)\)\s+= \d+<(/.*)>$")
_CALLED = re.compile(r"sin6?_port=htons\((\d+)\).*?(?:inet_addr\(|AF_INET6, )\"([^\"]+)\"")
_WRITES = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC")


@dataclass
class Seen:
    """What a command did."""

    command: list[str]
    code: int
    output: str
    errors: str
    late: bool
    """It had not ended in time."""
    memory: int
    opened: set[tuple[str, bool]] = field(default_factory=set)
    """Files by their real paths, and whether to write."""
    called: set[tuple[str, int]] = field(default_factory=set)
    """Addresses and ports."""


def watch(
    command: Sequence[str],
    folder: Path,
    environment: dict[str, str],
    program: Sequence[str] = (sys.executable, "-P", "-m", "dandi_mirror"),
) -> Seen:
    """Run ``dandi-mirror command`` in a folder, with bounds on what it takes."""
    if command[:1] == ["serve"]:
        program = (sys.executable, "-P", "-c", ASKED)
    trace = folder.parents[1] / "trace"
    with (trace.parent / "output").open("wb+") as output, (trace.parent / "errors").open("wb+") as errors:
        child = subprocess.Popen(
            [*TRACING, "-o", str(trace), *program, *command], cwd=folder, env=environment,
            stdin=subprocess.DEVNULL, stdout=output, stderr=errors, start_new_session=True, preexec_fn=bound,
        )  # fmt: skip
        late, usage, child.returncode = wait(child.pid)
        texts = [text_of(stream) for stream in (output, errors)]
    seen = Seen(list(command), child.returncode, texts[0], texts[1], late, usage.ru_maxrss * 1024)
    for line in trace.read_text(errors="replace").splitlines():
        note(line, seen)
    trace.unlink()
    return seen


def bound() -> None:
    """Limit what this process and its children take."""
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESSES, _ADDRESSES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE, _FILE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def wait(child: int) -> tuple[bool, resource.struct_rusage, int]:
    """Whether a process was late, what it took, its exit code; afterwards none of its session is left."""
    late = False

    def end(*_: object) -> None:
        nonlocal late
        late = True
        for kill in (os.killpg, os.kill):  # it may have no session yet, or have just ended
            with suppress(ProcessLookupError):
                kill(child, signal.SIGKILL)

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(SECONDS)
    try:
        _, status, usage = os.wait4(child, 0)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    return late, usage, os.waitstatus_to_exitcode(status)


def text_of(stream: BinaryIO) -> str:
    """What a command printed."""
    stream.seek(0)
    return stream.read(4 << 20).decode(errors="surrogateescape")


def note(line: str, seen: Seen) -> None:
    """Note what one line of a trace tells."""
    if found := _OPENED.match(line) or _RESUMED.match(line):
        # of a call that was interrupted only the end names the file: it counts as read
        seen.opened.add((found[2], bool(_WRITES.search(found[1]))))
    elif " connect(" in line and (found := _CALLED.search(line)):
        seen.called.add((found[2], int(found[1])))


def files_of(seen: Seen, folder: Path) -> Iterator[tuple[str, bool]]:
    """What was opened in a folder."""
    return ((path, wrote) for path, wrote in seen.opened if path.startswith(f"{folder}/"))
