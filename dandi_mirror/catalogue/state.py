"""What a catalogue remembers of itself between builds: ``catalogue.json`` at its top."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import msgspec

from dandi_mirror import __version__
from dandi_mirror.catalogue.summary import Summary
from dandi_mirror.files.opening import read_file

NAME = "catalogue.json"
MADE_BY = "dandi-mirror catalogue"
_LARGEST = 512 << 20


class CatalogueState(msgspec.Struct, frozen=True):
    """A catalogue's Dandisets, as the last build left them."""

    made_by: str
    dandisets: dict[str, Summary]


def read_state(top: Path) -> CatalogueState | None:
    """The state of the catalogue in a folder; None if there is none, or if it is damaged."""
    content = read_file(top / NAME, _LARGEST)
    try:
        state = msgspec.json.decode(content or b"", type=CatalogueState)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return state if state.made_by == MADE_BY else None


def state_file(dandisets: Mapping[str, Summary]) -> bytes:
    """The content of the file."""
    return msgspec.json.encode(CatalogueState(MADE_BY, dict(sorted(dandisets.items()))))


def program_digest() -> str:
    """What tells the program that makes pages from other releases of it."""
    digest = sha256(__version__.encode())
    for path in sorted(Path(__file__).parent.rglob("*")):
        if path.suffix in {".py", ".html", ".xml", ".js", ".css"}:
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
