"""The ``.gitmodules`` of a Dandiset that holds Zarrs: written, and read again from anybody; no input or output."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dandi_mirror.mirror.zarr.state import dataset_id
from dandi_mirror.model import is_asset_id
from dandi_mirror.paths import refuse_path
from dandi_mirror.zarr_checksum import is_checksum

_PLAIN = re.compile(r"(?! )[^\"\\;#\x00-\x1f\x7f]*(?<! )")
_SECTION = re.compile(r'\[submodule "((?:[^"\\]|\\["\\])*)"\]')
_VALUE = re.compile(r"\t(path|zarr-id|zarr-checksum) = (.*)")
_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_ESCAPED = re.compile(r"\\(.)")


class ZarrModule(NamedTuple):
    """A Zarr of a Dandiset's draft, as ``.gitmodules`` names it."""

    path: str
    """Of the asset."""
    zarr_id: str
    checksum: str
    """Of the state that the gitlink is of."""


def repository_url(zarr_id: str) -> str:
    """Where a Zarr's repository is, relative to the repository of a Dandiset."""
    return f"../zarr/{zarr_id[:3]}/{zarr_id[3:6]}/{zarr_id}.git"


def refuse_module(path: str) -> str | None:
    """Why a Zarr must not be at a path that files may have; None if it may.

    ``git submodule`` takes a dash for an option, and ``git fsck`` then refuses the whole repository.
    """
    return "a Zarr's path that begins with a dash" if path.startswith("-") else None


def gitmodules(zarrs: Iterable[ZarrModule]) -> bytes:
    """The content of ``.gitmodules``: a section for each Zarr, sorted by path."""
    return "".join(map(_section, sorted(zarrs, key=lambda zarr: zarr.path.encode()))).encode()


def _section(zarr: ZarrModule) -> str:
    return (
        f'[submodule "{_escaped(zarr.path)}"]\n'
        f"\tpath = {_value(zarr.path)}\n"
        f"\turl = {repository_url(zarr.zarr_id)}\n"
        f"\tdatalad-id = {dataset_id(zarr.zarr_id)}\n"
        f"\tzarr-id = {zarr.zarr_id}\n"
        f"\tzarr-checksum = {zarr.checksum}\n"
    )


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _value(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else f'"{_escaped(text)}"'


def read_gitmodules(content: bytes) -> dict[str, ZarrModule]:
    """The Zarrs that a ``.gitmodules`` names, by path; the file may be anybody's.

    Sections that :func:`gitmodules` could not have written are left out, and so are all of a path that two have.
    """
    found: dict[str, ZarrModule] = {}
    twice = set()
    for zarr in _modules(content.decode(errors="surrogateescape")):
        twice |= {zarr.path} & found.keys()
        found[zarr.path] = zarr
    return {path: zarr for path, zarr in found.items() if path not in twice}


def _modules(text: str) -> Iterator[ZarrModule]:
    for section in re.split(r"^(?=\[)", text, flags=re.M):
        head, _, rest = section.partition("\n")
        values = [(found[1], found[2]) for line in rest.split("\n") if (found := _VALUE.fullmatch(line))]
        facts = dict(values)
        if not _SECTION.fullmatch(head) or len(values) != len(facts):
            continue
        zarr = ZarrModule(_plain(facts.get("path", "")), facts.get("zarr-id", ""), facts.get("zarr-checksum", ""))
        if _is_ours(zarr) and section.rstrip("\n") == _section(zarr).rstrip("\n"):
            yield zarr


def _plain(value: str) -> str:
    quoted = _QUOTED.fullmatch(value)
    return _ESCAPED.sub(r"\1", quoted[1]) if quoted else value


def _is_ours(zarr: ZarrModule) -> bool:
    admitted = refuse_path(zarr.path) is None and refuse_module(zarr.path) is None
    return admitted and is_asset_id(zarr.zarr_id) and is_checksum(zarr.checksum)
