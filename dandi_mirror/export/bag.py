"""A version as a bag (BagIt 1.0, RFC 8493): the tag files around its payload."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256

from dandi_mirror.export.version import ExportFile, ExportVersion
from dandi_mirror.paths import DANDISET_YAML

PAYLOAD = "data"
_ESCAPED = {"%": "%25", "\r": "%0D", "\n": "%0A"}


def tag_files(version: ExportVersion, program: str, *, holey: bool) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each tag file; ``holey``: the files are not in the bag, and ``fetch.txt`` lists them.

    The version must have no Zarr, which has no SHA-256.  The Dandiset's record is part of the payload.
    """
    record = ExportFile(DANDISET_YAML, len(version.yaml), sha256(version.yaml).hexdigest())
    files = (record, *version.files)
    made = {
        "bagit.txt": b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n",
        "bag-info.txt": "".join(f"{name}: {value}\n" for name, value in _info(version, files, program)).encode(),
        "manifest-sha256.txt": _lines(f"{file.sha256}  {_place(file)}" for file in files),
    }
    if holey and version.files:
        made["fetch.txt"] = _lines(f"{file.places[0]} {file.size} {_place(file)}" for file in version.files)
    yield from made.items()
    yield "tagmanifest-sha256.txt", _lines(f"{sha256(content).hexdigest()}  {name}" for name, content in made.items())


def _info(version: ExportVersion, files: tuple[ExportFile, ...], program: str) -> Iterator[tuple[str, str]]:
    yield "Source-Organization", "DANDI Archive"
    yield "External-Identifier", version.citation.identifier
    yield "External-Identifier", version.url
    yield "External-Description", version.name
    yield "Payload-Oxum", f"{sum(file.size for file in files)}.{len(files)}"
    yield "Bag-Software-Agent", program
    yield "Internal-Sender-Identifier", f"git commit {version.citation.commit}"


def _place(file: ExportFile) -> str:
    """The path of a file in the bag, as a manifest writes it."""
    return "".join(_ESCAPED.get(letter, letter) for letter in f"{PAYLOAD}/{file.path}")


def _lines(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
