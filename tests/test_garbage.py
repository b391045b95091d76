"""Tidying up: when git packs its objects anew, and that it takes nothing with it."""

from __future__ import annotations

import subprocess
from itertools import count, islice
from pathlib import Path

from dandi_mirror.embedded import Archive
from dandi_mirror.repo.git.garbage import MOST_LOOSE, MOST_PACKS, is_worthwhile
from dandi_mirror.repo.git.stream import blob_id
from tests.conftest import MirrorOfTest
from tests.support.dandisets import seed


def packs(mirror: MirrorOfTest) -> set[str]:
    return {pack.name for pack in (mirror.path / "000123/.git/objects/pack").glob("*.pack")}


def add_packs(repository: Path, number: int) -> None:
    for place in range(number):
        git = ["git", "-C", str(repository)]
        oid = subprocess.run([*git, "hash-object", "-w", "--stdin"], input=b"%d" % place, capture_output=True).stdout
        pack = [*git, "pack-objects", "-q", str(repository / ".git/objects/pack/pack")]
        subprocess.run(pack, input=oid, check=True, capture_output=True)


def test_a_sync_that_leaves_very_many_packs_has_git_pack_them_together(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    dandiset = seed(archive)
    mirror.sync()
    add_packs(mirror.path / "000123", MOST_PACKS + 1)
    dandiset.add_asset("new.nwb", archive.add_blob(b"new"))
    before = len(packs(mirror))
    assert mirror.sync().status == "ok"
    assert len(packs(mirror)) < before / 10
    assert mirror.git("fsck", "--strict", "--no-dangling") == ""
    fresh = MirrorOfTest(tmp_path / "fresh", mirror.server)
    fresh.sync()
    assert mirror.git("rev-parse", "draft^{tree}") == fresh.git("rev-parse", "draft^{tree}")


def test_a_few_packs_are_left_alone(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = seed(archive)
    mirror.sync()
    add_packs(mirror.path / "000123", 10)
    dandiset.add_asset("new.nwb", archive.add_blob(b"new"))
    before = packs(mirror)
    mirror.sync()
    assert packs(mirror) >= before


def test_a_run_with_nothing_to_do_does_not_tidy_up(archive: Archive, mirror: MirrorOfTest) -> None:
    seed(archive)
    mirror.sync()
    add_packs(mirror.path / "000123", MOST_PACKS + 10)
    before = packs(mirror)
    assert mirror.sync().status == "notneeded"
    assert packs(mirror) == before


def test_very_many_loose_objects_pay_for_a_gc(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> None:
    seed(archive)
    mirror.sync()
    git_dir = mirror.path / "000123" / ".git"
    assert not is_worthwhile(git_dir)
    wanted = (number for number in count() if blob_id(b"%d" % number).startswith("17"))
    files = []
    for number in islice(wanted, MOST_LOOSE // 256 + 1):
        files.append(tmp_path / str(number))
        files[-1].write_bytes(b"%d" % number)
    mirror.git("hash-object", "-w", *map(str, files))
    assert is_worthwhile(git_dir)
