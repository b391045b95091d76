"""What must hold of every command in every hostile repository."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.hostile.repositories.commands import TELLS
from tests.hostile.repositories.serving import ADDRESS
from tests.hostile.repositories.stage import FOREIGN_TOKEN, MARKER, OWN_TOKEN, Stage
from tests.hostile.repositories.watching import MEMORY, Seen, files_of

GIT_FAILED = "git does not read it"
"""The exit code 1 and one line: a program failed for a reason of its own."""
ENDS = {0, 2, 3, 4, 5, 6, 7, 75}
"""Exit codes that say what happened."""
ENDS_OF = {"doctor": {1}, "serve": {130}}
"""``doctor`` says so that something is too old, ``serve`` that somebody interrupted it."""
HARMLESS = ("/dev/null", "/dev/tty", "/dev/urandom", "/dev/random", "/dev/pts/", "/dev/shm/")
OWN_OF_HOME = (".gitconfig", ".config/", ".cache/", ".local/")
"""What programs keep in a home: may be read, and is no secret here."""
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_DEFAULT_ARCHIVE = "api.dandiarchive.org"
"""Who is asked where nothing names another archive."""
ESCAPED = Path("/tmp/dandi-mirror-escape")


@dataclass(frozen=True)
class Problem:
    """Something that does not hold."""

    kind: str
    """As it is counted."""
    detail: str


@dataclass
class Judge:
    """What was there before the first command."""

    stage: Stage
    before: dict[str, str] = field(default_factory=dict)
    asked: int = 0
    heard: int = 0
    by_proxy: int = 0

    def begin(self) -> None:
        """Look at everything that no command may touch; the repository is as it is by now."""
        world = self.stage.world
        self.before = fingerprints(self.stage)
        self.asked, self.heard, self.by_proxy = (
            len(world.server.requests), len(world.listener.heard), len(world.proxy.heard),
        )  # fmt: skip
        (self.stage.folder / "ran").unlink(missing_ok=True)

    def problems(self, seen: Seen) -> Iterator[Problem]:
        """What does not hold after a command; the next one is judged from here."""
        yield from _ended(seen)
        yield from _said(seen)
        yield from self._opened(seen)
        yield from self._changed()
        yield from self._called(seen)
        yield from self._requests(seen)
        ran = self.stage.folder / "ran"
        if ran.exists():
            yield Problem("a program of the repository was run", ran.read_text(errors="replace").splitlines()[0])
        self.begin()

    def _opened(self, seen: Seen) -> Iterator[Problem]:
        stage = self.stage
        for path, _ in files_of(seen, stage.victim):
            yield Problem("a file elsewhere was opened", path)
        for path, _ in files_of(seen, stage.home):
            if not path.removeprefix(f"{stage.home}/").startswith(OWN_OF_HOME):
                yield Problem("a file of the home was opened", path)
        written = (f"{stage.folder}/", "/dev/", "/proc/")
        for path, wrote in seen.opened:
            if wrote and not path.startswith(written):
                yield Problem("a file elsewhere was opened to write", path)
            if path.startswith("/dev/") and not path.startswith(HARMLESS):
                yield Problem("a device was opened", path)

    def _changed(self) -> Iterator[Problem]:
        now = fingerprints(self.stage)
        for path in sorted(self.before.keys() | now.keys()):
            if self.before.get(path) != now.get(path):
                yield Problem("a file elsewhere was changed", path)
        if os.path.lexists(ESCAPED):
            ESCAPED.unlink()
            yield Problem("a file elsewhere was changed", str(ESCAPED))
        for top in (self.stage.out, self.stage.top):
            for file in _plain_files(top):
                if file.name not in self.stage.names and MARKER.encode() in file.read_bytes():
                    yield Problem("a secret was copied", str(file.relative_to(self.stage.folder)))

    def _called(self, seen: Seen) -> Iterator[Problem]:
        world = self.stage.world
        # the listener is judged by what it heard
        known = {int(origin.rpartition(":")[2]) for origin in (world.server.origin, world.proxy.origin)}
        known.add(world.listener.port)
        if seen.command[:1] == ["serve"] and (own := ADDRESS.search(seen.output)):
            known.add(int(own[2]))  # who asks it is a thread of its process
        for address, port in seen.called:
            if port == 53:
                yield Problem("a name was looked up", address)
            elif port and (address not in {"127.0.0.1", "::ffff:127.0.0.1"} or port not in known):
                yield Problem("another address was called", f"{address}:{port}")

    def _requests(self, seen: Seen) -> Iterator[Problem]:
        world = self.stage.world
        for text in world.listener.heard[self.heard :]:
            yield Problem("another port was asked", text.splitlines()[0])
            yield from _token(text, (FOREIGN_TOKEN, OWN_TOKEN), "another port")
        for text in world.proxy.heard[self.by_proxy :]:
            asked = text.splitlines()[0]
            default = self.stage.settings and _DEFAULT_ARCHIVE in asked
            # git-annex lets the proxy ask on loopback, too, whatever no_proxy says
            if not (default or f" {world.server.origin}/" in asked):
                yield Problem("another host was asked", asked)
            yield from _token(text, (FOREIGN_TOKEN, OWN_TOKEN), "another host")
        for request in world.server.requests[self.asked :]:
            text = f"{request.path} {request.query} {request.headers}"
            theirs = (FOREIGN_TOKEN,) if request.path.startswith("/api/") else (FOREIGN_TOKEN, OWN_TOKEN)
            yield from _token(text, theirs, request.path)
            may_tell = seen.command[:1] and seen.command[0] in TELLS and "-n" not in seen.command
            if "delete" in request.query or not (request.method in {"GET", "HEAD"} or may_tell):
                yield Problem("the archive was told to do something", f"{request.method} {request.path}")


def _ended(seen: Seen) -> Iterator[Problem]:
    if seen.late:
        yield Problem("it did not end in time", " ".join(seen.command))
    elif seen.code not in ENDS | ENDS_OF.get("".join(seen.command[:1]), set()):
        own = seen.code == 1 and seen.errors.strip() and "unexpected" not in seen.errors
        yield Problem(GIT_FAILED if own else f"exit code {seen.code}", seen.errors.strip()[-300:])
    if seen.memory > MEMORY:
        yield Problem("it took too much memory", f"{seen.memory >> 20} MiB")


def _said(seen: Seen) -> Iterator[Problem]:
    said = seen.output + seen.errors
    if "Traceback" in said:
        yield Problem("a traceback", said[said.find("Traceback") :][-400:])
    if found := _CONTROL.search(said):
        yield Problem("a control character was printed", repr(said[max(0, found.start() - 40) : found.end() + 20]))
    if any("\udc80" <= letter <= "\udcff" for letter in said):
        yield Problem("bytes that are no UTF-8 were printed", repr(said[:200]))
    if MARKER in said:
        yield Problem("a secret was printed", said[max(0, said.find(MARKER) - 80) :][:160])
    yield from _token(said, (FOREIGN_TOKEN, OWN_TOKEN), "what it printed")


def _token(text: str, tokens: tuple[str, ...], where: str) -> Iterator[Problem]:
    if any(token in text for token in tokens):
        yield Problem("a token left", where)


def fingerprints(stage: Stage) -> dict[str, str]:
    """Every file that no command may touch: its content, kind, mode and time of change."""
    found: dict[str, str] = {}
    for top in (stage.home, stage.victim, stage.folder / "tools"):
        for here, folders, names in os.walk(top):
            for name in [*folders, *names]:
                path = Path(here, name)
                shown = str(path.relative_to(stage.folder))
                if not shown.removeprefix("home/").startswith(OWN_OF_HOME[1:]):
                    found[shown] = _fingerprint(path)
    beside = {"home", "victim", "tools", "place", "out", "tmp", "recordings", "ran", "trace", "output", "errors"}
    found |= {path.name: "new" for path in stage.folder.iterdir() if path.name not in beside}
    return found | {f"place/{path.name}": "there" for path in (stage.folder / "place").iterdir()}


def _fingerprint(path: Path) -> str:
    facts = path.lstat()
    if path.is_symlink():
        return f"-> {path.readlink()}"
    if not path.is_file():
        return f"{facts.st_mode:o}"
    digest = hashlib.sha1(path.read_bytes()).hexdigest()
    return f"{facts.st_mode:o} {facts.st_mtime_ns} {facts.st_nlink} {digest}"


def _plain_files(top: Path) -> Iterator[Path]:
    for here, folders, names in os.walk(top):
        folders[:] = [name for name in folders if name != "objects"]
        for name in names:
            path = Path(here, name)
            if path.is_file() and not path.is_symlink() and path.stat().st_size < 1 << 20:
                yield path
