"""The files of a git-annex branch: read, and written by union with what others have recorded.

Formats: git-annex's page "internals".  A line's time decides between two lines about the same thing, so a
line is only ever added or superseded, never taken from somebody else.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from uuid import NAMESPACE_URL, uuid5

WEB = "00000000-0000-0000-0000-000000000001"
"""The UUID of git-annex's built-in web remote."""

_STAMP = re.compile(r"([0-9]{1,11})(?:\.([0-9]{1,12}))?s")
_API = re.compile(r" type=web urlinclude=\*//(\S+?)/(?:assets|zarr)/\*")
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9_.:;,/()+-][A-Za-z0-9_.:;,/()+!-]*", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)


@lru_cache
def _spell(micros: int) -> str:
    seconds, fraction = divmod(micros, 1_000_000)
    return f"{seconds}.{fraction:06d}".rstrip("0").rstrip(".") + "s"


@dataclass(frozen=True, slots=True)
class Stamp:
    """A log line's time, in microseconds since 1970."""

    micros: int

    @classmethod
    def of(cls, time: datetime) -> Stamp:
        """The stamp of a time in UTC."""
        return cls((time - _EPOCH) // _MICRO)

    @classmethod
    def parse(cls, text: str) -> Stamp | None:
        """A stamp as git-annex writes it (``1630339687.8779s``); None for anything else."""
        found = _STAMP.fullmatch(text)
        if not found:
            return None
        return cls(int(found[1]) * 1_000_000 + int((found[2] or "").ljust(6, "0")[:6]))

    def __str__(self) -> str:
        return _spell(self.micros)

    def after(self, other: Stamp | None) -> Stamp:
        """This stamp, or the first one after ``other`` when that is not earlier."""
        return self if other is None or other.micros < self.micros else Stamp(other.micros + 1)


def location_path(directory: str, key: str) -> str:
    """Where the location log of a key stands; ``directory`` is ``hash_dir_lower(key)``."""
    return f"{directory}/{key}.log"


def url_path(directory: str, key: str) -> str:
    """Where the URL log of a key stands."""
    return f"{directory}/{key}.log.web"


def metadata_path(directory: str, key: str) -> str:
    """Where the metadata log of a key stands."""
    return f"{directory}/{key}.log.met"


def with_presence(log: bytes, stamp: Stamp, present: Mapping[str, bool]) -> bytes:
    """A location or URL log in which each of ``present`` (UUID or URL) is recorded as there or not.

    A log that says so already stays as it is; else other lines about the same thing are superseded, and lines
    about anything else are kept as they were written.  ``log`` may be empty.
    """
    if not log:
        return "".join(f"{stamp} {int(there)} {what}\n" for what, there in sorted(present.items()) if there).encode()
    newest, others = _newest(log)
    lines = {what: line for what, (_, _, line) in newest.items()}
    for what, there in present.items():
        then, was, _ = newest.get(what, (None, None, ""))
        if was != there and (there or was is not None):
            lines[what] = f"{stamp.after(then)} {int(there)} {what}"
    if all(lines[what] == line for what, (_, _, line) in newest.items()) and len(lines) == len(newest):
        return log
    return "".join(line + "\n" for line in sorted(lines.values()) + others).encode(errors="surrogateescape")


def present(log: bytes) -> dict[str, bool]:
    """What a location or URL log says is there (True) or no longer there (False), by UUID or URL."""
    return {what: there for what, (_, there, _) in _newest(log)[0].items()}


def _newest(log: bytes) -> tuple[dict[str, tuple[Stamp, bool, str]], list[str]]:
    """The newest line about each thing, and the lines that are about nothing known."""
    newest: dict[str, tuple[Stamp, bool, str]] = {}
    others: list[str] = []
    # git-annex ends lines with \n alone; a URL may hold any other separator
    for line in log.decode(errors="surrogateescape").split("\n"):
        time, _, rest = line.partition(" ")
        flag, _, what = rest.partition(" ")
        stamp = Stamp.parse(time)
        if stamp is None or flag not in {"0", "1"} or not what:
            others += [line] if line else []
        elif what not in newest or newest[what][0].micros <= stamp.micros:
            newest[what] = (stamp, flag == "1", line)
    return newest, others


def with_fields(log: bytes, stamp: Stamp, remove: Iterable[tuple[str, str]], add: Iterable[tuple[str, str]]) -> bytes:
    """A metadata log in which the (field, value) pairs of ``remove`` are unset and those of ``add`` set."""
    signs = [(pair[0], "-" + _metadata_value(pair[1])) for pair in remove]
    signs += [_addition(pair) for pair in add]
    if not signs:
        return log
    words: list[str] = []
    before = None
    for field, value in sorted(signs):
        if field != before:
            words.append(field)
            before = field
        words.append(value)
    if not log:
        return f"{stamp} {' '.join(words)}\n".encode()
    lines = log.splitlines(keepends=True)
    times = [Stamp.parse(line.partition(b" ")[0].decode(errors="replace")) for line in lines]
    last = max((time for time in times if time), key=lambda time: time.micros, default=None)
    return _whole_lines(log) + f"{stamp.after(last)} {' '.join(words)}\n".encode()


@lru_cache(maxsize=1 << 16)
def _addition(pair: tuple[str, str]) -> tuple[str, str]:
    return pair[0], "+" + _metadata_value(pair[1])


@lru_cache(maxsize=4096)
def _metadata_value(value: str) -> str:
    if _PLAIN_VALUE.fullmatch(value):
        return value
    return "!" + base64.b64encode(value.encode()).decode()


def api_remote(api_url: str, below: str = "assets") -> tuple[str, str]:
    """The UUID and the ``remote.log`` words of the remote that asks the archive's API after S3.

    ``below`` is where the API has the content: ``assets``, or ``zarr`` for entries of Zarrs.

    A second face of the web remote (``sameas``) that claims the API's URLs at a higher cost, and that a
    clone enables by itself; without ``autoenable`` it would hide those URLs instead.
    """
    host_and_path = api_url.partition("://")[2]
    words = (
        f"autoenable=true cost=300 sameas-name=dandiapi sameas-uuid={WEB} type=web "
        f"urlinclude=*//{host_and_path}/{below}/*"
    )
    return str(uuid5(NAMESPACE_URL, f"{api_url}/{below}/")), words


def api_of(log: bytes) -> str:
    """The host and path of the archive's API that a ``remote.log`` names; empty if it names none."""
    found = _API.search(log.decode(errors="replace"))
    return found[1] if found else ""


def embargo_remote(api_url: str) -> tuple[str, str]:
    """The UUID and the ``remote.log`` words of the remote that asks the API with a token, for embargoed content.

    Its program is ``git-annex-remote-dandi``.
    """
    words = f"api={api_url} autoenable=true encryption=none externaltype=dandi name=dandi-embargoed type=external"
    return str(uuid5(NAMESPACE_URL, f"{api_url}/assets/embargoed/")), words


def with_trust(log: bytes, uuid: str, level: str, stamp: Stamp) -> bytes:
    """A ``trust.log`` in which a remote has this level: ``X`` is dead, ``?`` as if nothing had been said."""
    begin = f"{uuid} ".encode()
    lines = log.splitlines(keepends=True)
    mine = [line.decode(errors="replace").split() for line in lines if line.startswith(begin)]
    if (mine[-1:] and mine[-1][1:2] == [level]) or (not mine and level == "?"):
        return log
    times = [Stamp.parse(words[-1].removeprefix("timestamp=")) for words in mine]
    last = max((time for time in times if time), key=lambda time: time.micros, default=None)
    kept = b"".join(line for line in lines if not line.startswith(begin))
    return _whole_lines(kept) + f"{uuid} {level} timestamp={stamp.after(last)}\n".encode()


def with_remote(log: bytes, uuid: str, words: str, stamp: Stamp) -> bytes:
    """A ``remote.log`` that holds this remote; one that is there already stays as somebody set it up."""
    if any(line.split(b" ", 1)[0] == uuid.encode() for line in log.splitlines()):
        return log
    return _whole_lines(log) + f"{uuid} {words} timestamp={stamp}\n".encode()


def union(log: bytes, other: bytes) -> bytes:
    """A log with the lines of another state of it that it lacks, as git-annex merges its branch: times decide."""
    lines = log.split(b"\n")
    return _whole_lines(log) + b"".join(line + b"\n" for line in other.split(b"\n") if line and line not in lines)


def _whole_lines(log: bytes) -> bytes:
    return log if log.endswith(b"\n") or not log else log + b"\n"


def fields(log: bytes) -> set[tuple[str, str]]:
    """The (field, value) pairs that a metadata log says are set; of a line that cannot be read, none."""
    pairs: set[tuple[str, str]] = set()
    lines = [(Stamp.parse(time), words) for time, words in _metadata_lines(log)]
    for _, words in sorted(((stamp.micros, words) for stamp, words in lines if stamp), key=lambda line: line[0]):
        field = ""
        for word in words:
            if word[:1] not in {"+", "-"} or not field:
                field = word
            elif word[0] == "+":
                pairs.add((field, _plain_value(word[1:])))
            else:
                pairs.discard((field, _plain_value(word[1:])))
    return pairs


def _metadata_lines(log: bytes) -> list[tuple[str, list[str]]]:
    lines = [line.split(" ") for line in log.decode(errors="surrogateescape").split("\n")]
    return [(words[0], words[1:]) for words in lines]


def _plain_value(word: str) -> str:
    if not word.startswith("!"):
        return word
    try:
        return base64.b64decode(word[1:], validate=True).decode()
    except ValueError:
        return word
