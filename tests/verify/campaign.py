"""The mirror that is damaged, and what must hold of it: each damage is named, and repaired, also in spite of kills."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from dandi_mirror.embedded import Archive
from dandi_mirror.embedded.bucket.contents import Content
from dandi_mirror.mirror.zarr.manifests import Manifests
from tests.conftest import MirrorOfTest, only_asked, run
from tests.support.dandisets import participant
from tests.support.histories import HISTORIES
from tests.support.zarrs import a_zarr, change, in_parts

from .corruptions import CORRUPTIONS, VERSION
from .zarr_corruptions import manifests, repositories

GROUP = b'{"zarr_format": 2}'
ZARRS: dict[str, dict[str, Content]] = {
    "sub-1/x.ome.zarr": {".zgroup": GROUP, "arr/.zarray": b"{}", "arr/0/0": b"\0" * 900, "arr/a b": b"x"},
    "sub-2/y.ome.zarr": {".zgroup": GROUP, "arr/.zarray": b'{"y": 1}', "arr/0": in_parts(b"y" * 3000)},
}
"""The Zarrs of the first Dandiset: the first of them has two states; of the second an entry was sent in parts."""
BY_HAND = {
    "put an api key into the config": "a person has to replace the key",
    "put an api key into a log": "a person has to replace the key",
    "put a signed url into an object": "a person has to decide what becomes of it",
    "leave a lock": "a lock that young may be a person's",
}
"""Corruptions that are named and not repaired, and why."""
REPAIRED = sorted(CORRUPTIONS.keys() - BY_HAND.keys())


def fill(archive: Archive, mirror: MirrorOfTest) -> MirrorOfTest:
    """A mirror of two Dandisets: with a published version, a draft with commits of its own, Zarrs, and content."""
    for name in ("000123", "000124"):
        made = archive.create_dandiset(name, name=f"number {name}")
        made.add_asset("README", archive.add_blob(f"read {name}\n".encode()))
        for number in range(3):
            content = f"content {number} of {name}".encode()
            made.add_asset(f"sub-{number}/a.nwb", archive.add_blob(content), metadata=participant(f"m{number}"))
        made.publish(VERSION, created="2024-01-01T00:00:00Z")
    mirror.cli("sync", "--all")
    for made in archive.dandisets.values():
        made.add_asset("later.nwb", archive.add_blob(b"later"), metadata=participant("m9"))
    zarrs = [a_zarr(archive.dandisets["000123"], path, files=files) for path, files in ZARRS.items()]
    mirror.cli("sync", "--all", "--get", "*.nwb")
    change(zarrs[0], {"arr/0/0": b"\2" * 900})
    mirror.cli("sync", "--all")
    run("dandi-mirror", "get", *ZARRS, cwd=mirror.path / "000123")
    return mirror


def check_healthy(name: str, folder: Path) -> None:
    """A mirror with this history, in which nothing is wrong, has no difference, and stock programs find none either."""

    def verify(archive: Archive, mirror: MirrorOfTest) -> MirrorOfTest:
        HISTORIES[name](archive, mirror)
        found = differences(mirror)
        assert not any(found.values()), f"{name}: {found}"
        return mirror

    with only_asked(folder, verify):
        pass


def differences(mirror: MirrorOfTest) -> dict[str, list[dict[str, object]]]:
    """What a verification of everything finds, by Dandiset."""
    where = ["-d", str(mirror.path), "-i", mirror.server.api_url]
    done = run("dandi-mirror", "verify", "--content", "1", "-f", "json", *where, code=None)
    *found, _ = [json.loads(line) for line in done.stdout.splitlines()]
    assert "Traceback" not in done.stderr
    assert not [one["message"] for one in found if "unexpected" in one["message"]]
    return {one["dandiset"]: one["differences"] for one in found}


def corrupted(name: str, seed: int, healthy: MirrorOfTest, folder: Path) -> MirrorOfTest:
    """A copy of the mirror in which one thing is damaged."""
    shutil.copytree(healthy.path, folder, symlinks=True)
    CORRUPTIONS[name](folder / "000123", random.Random(seed))
    return MirrorOfTest(folder, healthy.server)


def check_named(name: str, seed: int, healthy: MirrorOfTest, folder: Path) -> None:
    """The damage is named, and nothing in the dataset beside it."""
    found = differences(corrupted(name, seed, healthy, folder))
    assert found["000124"] == []
    assert found["000123"] or found["superdataset"], f"{name}, seed {seed}: nothing was found"


def check_repaired(name: str, seed: int, healthy: MirrorOfTest, folder: Path) -> None:
    """A repair ends with nothing that differs, and then the mirror is as it was."""
    mirror = corrupted(name, seed, healthy, folder)
    where = ["-d", str(folder), "-i", healthy.server.api_url]
    done = run("dandi-mirror", "verify", "--content", "1", "--repair", *where, code=None)
    assert done.returncode == 0, f"{name}, seed {seed}:\n{done.stdout}\n{done.stderr}"
    check_as_it_was(mirror, healthy)


def check_as_it_was(mirror: MirrorOfTest, healthy: MirrorOfTest) -> None:
    """Tags, files, Zarrs and content are those of the mirror that nobody damaged, and stock programs find no fault."""
    folder, zarr = mirror.path, mirror.path / "000123" / next(iter(ZARRS))
    assert mirror.git("rev-parse", VERSION) == healthy.git("rev-parse", VERSION)
    assert mirror.tree() == healthy.tree()
    assert zarr_refs(folder) == zarr_refs(healthy.path)
    for file in manifests(folder / "000123"):
        Manifests(folder).verified(file.parent.name, file.name, entries=True)
    for repository in (folder, folder / "000123", *repositories(folder / "000123")):
        run("git", "-C", str(repository), "fsck", "--strict", "--no-dangling")
    for work_tree in (folder, folder / "000123", zarr):
        assert run("git", "-C", str(work_tree), "status", "--porcelain").stdout == ""
    for clone, count in ((folder / "000123", 4), (zarr, len(ZARRS["sub-1/x.ome.zarr"]))):
        run("git", "-C", str(clone), "annex", "fsck", "--quiet")
        assert len(run("git", "-C", str(clone), "annex", "find").stdout.splitlines()) == count


def zarr_refs(folder: Path) -> dict[str, str]:
    """The manifests, and for each repository its refs and the tree of its logs."""
    found = {str(file.relative_to(folder)): "" for file in manifests(folder / "000123")}
    for repository in repositories(folder / "000123"):
        refs = run("git", "-C", str(repository), "for-each-ref", "--format=%(refname) %(tree)").stdout
        found[str(repository.relative_to(folder))] = refs
    return found


def repaired_in_spite_of_kills(name: str, seed: int, healthy: MirrorOfTest, folder: Path) -> int:
    """Repair while it is killed again and again; how many kills struck."""
    shutil.copytree(healthy.path, folder, symlinks=True)
    mirror, chance, struck = MirrorOfTest(folder, healthy.server), random.Random(seed), 0
    CORRUPTIONS[name](folder / "000123", chance)
    command = [sys.executable, "-m", "dandi_mirror", "verify", "--content", "1", "--repair", "-d", str(folder)]
    for _ in range(4):
        child = subprocess.Popen(
            [*command, "-i", healthy.server.api_url], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip
        assert child.stdout
        for _ in range(chance.randrange(1, 5)):
            child.stdout.readline()  # a step has begun
        time.sleep(chance.random() / 2)
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
            struck += child.poll() is None
        child.communicate()
    mirror.cli("verify", "--content", "1", "--repair", *(["000123"] if not (folder / "000123").exists() else []))
    mirror.cli("verify", "--content", "1")
    check_as_it_was(mirror, healthy)
    return struck
