"""Clones that somebody made to do harm: real git, without any check of ours; a sync did not make them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from dandi_mirror.repo.annex.keys import annex_key, link_target
from tests.conftest import run

ID = "0a748f90-d497-4a9c-822e-9c63811db412"
CONTENT = b"harmless\n"
TAG = "0.240101.0000"
LINK, FILE, FOLDER = "120000", "100644", "040000"
Line = dict[str, Any] | bytes
DRAFT_MESSAGE = "update\n\nDandi-Version: draft\nMirror-Format: 1\n"


def record(path: Any = "sub-1/a.txt", content: bytes = CONTENT, **changes: Any) -> dict[str, Any]:
    """The record of an asset as a sync writes it, but for what is changed."""
    metadata = {"contentSize": len(content), "digest": {"dandi:sha2-256": sha256(content).hexdigest()}, "path": path}
    created = "2024-01-01T00:00:00Z"
    good = {"asset_id": ID, "created": created, "metadata": metadata, "path": path, "size": len(content)}
    return good | changes


def dandiset(**changes: Any) -> dict[str, Any]:
    """A Dandiset's record."""
    return {"id": "DANDI:000123/draft", "identifier": "DANDI:000123", "name": "Free data", "version": "draft"} | changes


@dataclass
class Hostile:
    """What a clone is made of; a path of a tree is given as git keeps it."""

    lines: Sequence[Line] = ()
    """Records, or raw lines."""
    files: Mapping[str, tuple[str, bytes]] = field(default_factory=dict)
    """Further files of the tree: mode and content."""
    record: dict[str, Any] = field(default_factory=dandiset)

    def make(self, folder: Path) -> Path:
        """The clone, with a branch ``draft`` and a tag; nothing is checked out but what git takes."""
        folder.mkdir(parents=True)
        run("git", "-C", str(folder), "init", "--quiet", "--initial-branch=draft")
        run("git", "-C", str(folder), "config", "user.name", "DANDI mirror")
        lines = b"".join(
            (line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in self.lines
        )
        own = {
            ".dandi/assets.jsonl": (FILE, lines),
            "dandiset.yaml": (FILE, json.dumps(self.record, indent=2).encode()),
        }
        tree = self._tree(folder, own | dict(self.files))
        commit = self._git(folder, "commit-tree", tree, "-m", DRAFT_MESSAGE)
        self._git(folder, "update-ref", "refs/heads/draft", commit)
        self._git(folder, "tag", "-a", "-m", "a version", TAG, commit)
        subprocess.run(["git", "-C", folder, "reset", "--quiet", "--hard"], check=False, capture_output=True)
        return folder

    def _tree(self, folder: Path, files: Mapping[str, tuple[str, bytes]]) -> str:
        """A tree as it is told, with names that git's own commands refuse."""
        inner: dict[str, dict[str, tuple[str, bytes]]] = {}
        entries: dict[str, tuple[str, str]] = {}
        for path, (mode, content) in files.items():
            top, slash, rest = path.partition("/")
            if slash:
                inner.setdefault(top, {})[rest] = (mode, content)
            else:
                entries[top] = (mode, self._git(folder, "hash-object", "-w", "--stdin", stdin=content))
        entries |= {name: (FOLDER, self._tree(folder, held)) for name, held in inner.items()}
        ordered = sorted(entries.items(), key=lambda item: os.fsencode(item[0]) + b"/" * (item[1][0] == FOLDER))
        raw = b"".join(
            f"{mode.lstrip('0')} ".encode() + os.fsencode(name) + b"\0" + bytes.fromhex(oid)
            for name, (mode, oid) in ordered
        )
        return self._git(folder, "hash-object", "-t", "tree", "--literally", "-w", "--stdin", stdin=raw)

    @staticmethod
    def _git(folder: Path, *arguments: str, stdin: bytes = b"") -> str:
        done = subprocess.run(["git", "-C", folder, *arguments], input=stdin, capture_output=True, check=True)
        return done.stdout.decode().strip()


def annexed(path: str, content: bytes = CONTENT) -> tuple[str, bytes]:
    """The link of an annexed file."""
    key = annex_key(len(content), sha256(content).hexdigest(), path)
    return LINK, link_target(key, path.count("/")).encode()


def text(content: bytes = CONTENT) -> tuple[str, bytes]:
    """A file that git itself keeps, so that a download asks nobody for it."""
    return FILE, content
