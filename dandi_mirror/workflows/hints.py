"""Commands that messages tell people to type: they name the mirror wherever the person named it.

A message is made where nobody knows what the person typed: in a worker process, or in an earlier run that left it in
the index.  So the mirror is added when a message is printed.  ``tests/cli/test_hints.py`` reads all messages.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from dandi_mirror.text import quoted

_COMMANDS = (
    "catalogue", "challenge", "config", "coverage", "delete", "edit", "fetch", "hold", "owners", "publish", "push",
    "restore", "status", "sync", "unembargo", "verify",
)  # fmt: skip
"""The commands that act on the mirror in which a person is, if -d names no other."""
_VALUE = r"(?:[0-9][0-9.]*|verify|force|[0-9]+[smhd]|/[^\s;,()']+)"
_ARGUMENT = rf" (?:[0-9]{{6}}(?:@[^\s;,)]+)?|(?!-d |--mirror )--?[a-z][a-z-]*(?: {_VALUE})?)"
_HINT = re.compile(rf"\bdandi-mirror (?:{'|'.join(_COMMANDS)})\b(?!-)(?:{_ARGUMENT}(?![\w/]))*(?!\.\w)")
_NAMED = re.compile(r"[^;,()\n]* (?:-d|--mirror) ")

_mirror = ""


def name_the_mirror(path: Path | None) -> None:
    """Let hints name a mirror from now on, by its absolute path; None: the person is in it, and hints are short."""
    global _mirror
    # without .., which leads elsewhere once a part of the path is a link
    place = (path.resolve() if ".." in path.parts else path.absolute()) if path else None
    _mirror = quoted(place) if place else ""


def zarrs_left(folder: Path, paths: Sequence[str]) -> str:
    """Say that `get` does not bring the Zarrs in a folder, and how to get one of them."""
    here, place = Path.cwd().resolve(), folder.resolve() / paths[0]
    near = here.is_relative_to(folder.resolve()) or place.is_relative_to(here)
    shown = shlex.quote(os.path.relpath(place, here) if near else str(place))
    if len(paths) == 1:
        return f"a Zarr was not fetched, as nobody named it; to get it: dandi-mirror get {shown}"
    return f"{len(paths):,} Zarrs were not fetched, as nobody named them; to get the first: dandi-mirror get {shown}"


def with_mirror(text: str) -> str:
    """A message with ``-d MIRROR`` in each command that acts on the mirror and does not say which."""
    if not _mirror or "dandi-mirror " not in text:
        return text

    def named(found: re.Match[str]) -> str:
        says = " -d " in found[0] or _NAMED.match(text, found.end())
        return found[0] if says else f"{found[0]} -d {_mirror}"

    return _HINT.sub(named, text)
