"""A version as a Metalink (RFC 5854): each file with its size, its checksum and all places that have it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from xml.sax.saxutils import escape, quoteattr

from dandi_mirror.export.version import ExportFile, ExportVersion
from dandi_mirror.model import spell_time

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def metalink(version: ExportVersion, program: str, files: Iterable[ExportFile] | None = None) -> Iterator[bytes]:
    """Yield the pieces of a Metalink; ``files`` are those of the version, unless there are also entries of Zarrs."""
    what = version.citation
    yield (
        '<?xml version="1.0" encoding="UTF-8"?>\n<metalink xmlns="urn:ietf:params:xml:ns:metalink">\n'
        f"  <generator>{_text(program)}</generator>\n"
        f"  <published>{spell_time(what.published)}</published>\n"
    ).encode()
    head = (
        f"    <identity>{_text(version.name)}</identity>\n"
        f"    <version>{_text(version.version)}</version>\n"
        f'    <publisher name="DANDI Archive" url={_value(version.url)}/>\n'
    )
    for file in version.files if files is None else files:
        yield f"  <file name={_value(file.path)}>\n{head}{''.join(_facts(file))}  </file>\n".encode()
    yield b"</metalink>\n"


def _facts(file: ExportFile) -> Iterator[str]:
    yield f"    <size>{file.size}</size>\n"
    if file.sha256:
        yield f'    <hash type="sha-256">{file.sha256}</hash>\n'
    elif file.md5 and "-" not in file.md5:  # else it is a checksum of the parts in which it was sent
        yield f'    <hash type="md5">{file.md5}</hash>\n'
    for priority, url in enumerate(file.places, start=1):
        yield f'    <url priority="{priority}">{_text(url)}</url>\n'


def _text(text: str) -> str:
    return escape(_NOT_IN_XML.sub("", text))


def _value(text: str) -> str:
    """A value of an attribute, with its quotes."""
    return quoteattr(_NOT_IN_XML.sub("", text))
