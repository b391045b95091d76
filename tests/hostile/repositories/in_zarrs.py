"""What may be wrong with a Zarr: its manifests, its repository, and what the dataset says about it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import zstandard

from dandi_mirror.archive.zarr_entry import ZarrEntry
from dandi_mirror.mirror.zarr.entries import in_order
from dandi_mirror.mirror.zarr.gitmodules import ZarrModule, gitmodules, read_gitmodules
from dandi_mirror.mirror.zarr.manifest_format import BodyWriter, Header, header_bytes, read_header
from dandi_mirror.mirror.zarr.state import zarr_state_of
from tests.hostile.repositories.catalogue import add, mutation
from tests.hostile.repositories.in_commits import BIDI, ESCAPE
from tests.hostile.repositories.stage import MIRROR, ZARR_PATH, Stage

MIRRORS = (MIRROR,)
MD5 = "0" * 32
BOMB = 2 << 30
"""Bytes of a manifest's entries, of which the file has few."""


def module_of(stage: Stage) -> ZarrModule:
    """The Zarr that the dataset names."""
    content = stage.git("show", "draft:.gitmodules")
    return read_gitmodules(content.encode() + b"\n")[ZARR_PATH]


def manifest_of(stage: Stage, module: ZarrModule | None = None) -> Path:
    """Where the manifest of a state is; in a clone, where this program would keep it."""
    top = stage.top if stage.kind == MIRROR else stage.git_dir / "dandi-mirror"
    zarr_id, checksum = (module or module_of(stage))[1:]
    return top / "zarr" / zarr_id[:3] / zarr_id[3:6] / zarr_id / checksum


def body_of(entries: Iterable[ZarrEntry]) -> bytes:
    """The entries as a manifest holds them."""
    out = BytesIO()
    writer = BodyWriter(out)
    for entry in entries:
        writer.add(entry)
    writer.close()
    return out.getvalue()


def with_body(stage: Stage, body: bytes, **facts: Any) -> None:
    """Let the manifest of the Zarr's state have other entries, and a header that fits them but for the checksum."""
    path = manifest_of(stage)
    honest = stage.world.honest / MIRROR / "zarr" / path.relative_to(path.parents[3])
    header = read_header(BytesIO(honest.read_bytes()))
    header = Header(replace(header.state, **facts), header.listed, sha256(body).hexdigest())
    stage.put(path, header_bytes(header) + body)


def with_state(stage: Stage, entries: list[ZarrEntry]) -> None:
    """Let the Zarr be of these entries: the manifest, the record, the checksum and the commit agree."""
    entries = in_order(entries)
    old = module_of(stage)
    state = zarr_state_of(old.zarr_id, entries)
    module = old._replace(checksum=state.checksum)
    body = body_of(entries)
    stage.put(manifest_of(stage, module), header_bytes(Header(state, "s3", sha256(body).hexdigest())) + body)
    records = stage.records()
    for record in records:
        if record["path"] == ZARR_PATH:
            record["size"] = record["metadata"]["contentSize"] = state.size
            record["metadata"]["digest"] = {"dandi:dandi-zarr-checksum": state.checksum}
    stage.write_records(records)
    stage.commit({".gitmodules": ("100644", gitmodules([module])), ZARR_PATH: ("160000", state.commit)})


HONEST = [ZarrEntry(".zgroup", 20, MD5), ZarrEntry("0/.zarray", 300, MD5), ZarrEntry("0/0", 9000, MD5)]
PATHS = {
    "up": "../../../../victim/files/secret.txt", "far up": "../" * 20 + "tmp/dandi-mirror-escape",
    "absolute": "/tmp/dandi-mirror-escape", "git": ".git/hooks/post-checkout", "modules": ".gitmodules",
    "bidi": BIDI, "escape": ESCAPE, "line": "a\nb", "nul": "a\0b", "option": "--help", "dot": "a/./b",
    "long": "d/" * 511,
    "URL": "http://evil.example/x?y#z", "percent": "%2e%2e/%2e%2e/x", "backslash": "..\\..\\x",
}  # fmt: skip
for _name, _path in PATHS.items():
    add(f"Zarr's entry: {_name}", lambda stage, path=_path: with_state(stage, [*HONEST, ZarrEntry(path, 5, MD5)]))
add("Zarr's entry: a file below a file", lambda stage: with_state(stage, [*HONEST, ZarrEntry("0", 5, MD5)]))
add(
    "Zarr's entry: huge",
    lambda stage: with_state(stage, [*HONEST, *(ZarrEntry(f"1/{n}", 5 << 40, MD5) for n in range(9))]),
)
add("Zarr's entry: none", lambda stage: with_state(stage, []))

BODIES = {
    "truncated": lambda body: body[: len(body) // 2], "garbage": lambda _: b"\xff\0" * 5000, "empty": lambda _: b"",
    "twice": lambda body: body + body, "not a list": lambda _: zstandard.compress(b'{"a":1}\n'),
    "deep": lambda _: zstandard.compress(b"[" * 500_000 + b"\n"),
    "numbers": lambda _: zstandard.compress(b'[["a"],[' + b"9" * 400 + b'],"x",null,null]\n'),
    "many blocks": lambda _: zstandard.compress(b'[["a"],[1],"' + MD5.encode() + b'",null,null]\n' * 100_000),
    "the same entry twice": lambda _: body_of([HONEST[0], HONEST[0]]),
    "other entries": lambda _: body_of(HONEST),
    "disorder": lambda _: body_of(HONEST[::-1]),
    "a large window": lambda _: zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True)
    ).compress(b"x" * 1000),
}  # fmt: skip
for _name, _change in BODIES.items():
    add(
        f"Zarr's manifest: {_name}",
        lambda stage, change=_change: with_body(stage, change(body_of(HONEST))),
    )
for _name, _line in {"one line": b"", "lines": b"\n"}.items():
    add(
        f"Zarr's manifest: a bomb of {_name}",
        lambda stage, line=_line: with_body(stage, _bomb(line)),
    )


def _bomb(ending: bytes) -> bytes:
    packing, out = zstandard.ZstdCompressor().compressobj(), []
    piece = b"[" * ((1 << 20) - len(ending)) + ending
    out += [packing.compress(piece) for _ in range(BOMB >> 20)]
    return b"".join([*out, packing.flush()])


@mutation("Zarr's manifest: its header has other counts")
def _counts(stage: Stage) -> None:
    with_body(stage, body_of(HONEST), entries=1 << 60, size=-1)


@mutation("Zarr's manifest: its header is long")
def _long_header(stage: Stage) -> None:
    stage.put(manifest_of(stage), b"\x50\x2a\x4d\x18\xff\xff\xff\xff" + b"{" * 100_000)


@mutation("Zarr's manifest: of another state")
def _other_state(stage: Stage) -> None:
    state, body = zarr_state_of(module_of(stage).zarr_id, HONEST), body_of(HONEST)
    stage.put(manifest_of(stage), header_bytes(Header(state, "s3", sha256(body).hexdigest())) + body)


@mutation("Zarr's manifest: huge, with holes")
def _holes(stage: Stage) -> None:
    with_body(stage, b"")
    with manifest_of(stage).open("r+b") as file:
        file.truncate(4 << 30)


for _name, _to in {"a device": "/dev/zero", "a secret": "files/secret.txt", "no file": "files/new"}.items():
    add(
        f"Zarr's manifest: a link to {_name}",
        lambda stage, to=_to: stage.link(manifest_of(stage), stage.victim / to),
    )
add("Zarr's manifest: a FIFO", lambda stage: os.mkfifo(stage.clear(manifest_of(stage))))
add("Zarr's manifest: a folder", lambda stage: stage.clear(manifest_of(stage)).mkdir())
for _name, _up in {"of the Zarr": 0, "of all Zarrs": 3}.items():
    add(
        f"Zarr's manifest: the folder {_name} is a link",
        lambda stage, up=_up: stage.link(manifest_of(stage).parents[up], stage.victim / "files"),
    )

# --- the repository of a Zarr, and the dataset's .gitmodules -----------------------------------------------------


def _repository(stage: Stage) -> Path:
    return manifest_of(stage).parent.with_name(f"{module_of(stage).zarr_id}.git")


@mutation("Zarr's repository: a link", MIRRORS)
def _repository_link(stage: Stage) -> None:
    stage.link(_repository(stage), stage.victim / "repository" / ".git")


@mutation("Zarr's repository: one whose settings start programs", MIRRORS)
def _repository_settings(stage: Stage) -> None:
    shutil.copytree(stage.victim / "repository" / ".git", stage.clear(_repository(stage)))
    stage.config(f'[core]\n\tfsmonitor = {stage.tool}\n[filter "x"]\n\tclean = {stage.tool}', _repository(stage))


@mutation("Zarr's repository: one that leads elsewhere", MIRRORS)
def _repository_common(stage: Stage) -> None:
    shutil.copytree(stage.victim / "repository" / ".git", stage.clear(_repository(stage)))
    stage.put(_repository(stage) / "commondir", f"{stage.victim}/repository/.git\n".encode())


@mutation("Zarr's repository: not whole", MIRRORS)
def _repository_empty(stage: Stage) -> None:
    stage.clear(_repository(stage)).mkdir()


MODULES = {
    "a program": '\tpath = {path}\n\turl = ext::{tool}\n\tupdate = !{tool}\n',
    "elsewhere": "\tpath = ../../victim/repository\n\turl = {victim}/repository\n",
    "another port": "\tpath = {path}\n\turl = {listener}/x.git\n",
    "an id": "\tpath = {path}\n\turl = ./x\n\tzarr-id = ../../../victim\n\tzarr-checksum = ../x\n",
}  # fmt: skip


def _module(stage: Stage, text: str) -> None:
    words = {"{path}": ZARR_PATH, "{tool}": stage.tool, "{victim}": str(stage.victim),
             "{listener}": stage.world.listener.origin}  # fmt: skip
    for word, value in words.items():
        text = text.replace(word, value)
    stage.commit({".gitmodules": ("100644", f'[submodule "{ZARR_PATH}"]\n{text}'.encode())})


for _name, _text in MODULES.items():
    add(f"Zarr's .gitmodules: {_name}", lambda stage, text=_text: _module(stage, text))


@mutation("Zarr's place: a link")
def _place_link(stage: Stage) -> None:
    stage.link(stage.dataset / ZARR_PATH, stage.victim / "repository")


@mutation("Zarr's place: a repository whose settings start programs")
def _place_repository(stage: Stage) -> None:
    place = stage.dataset / ZARR_PATH
    shutil.copytree(stage.victim / "repository", stage.clear(place))
    (place / "mine.txt").write_text("put here by the attacker\n")
    stage.config(f'[core]\n\tfsmonitor = {stage.tool}\n[filter "x"]\n\tclean = {stage.tool}', place / ".git")


@mutation("Zarr's commit: unknown")
def _commit(stage: Stage) -> None:
    stage.commit({ZARR_PATH: ("160000", "a" * 40)})
