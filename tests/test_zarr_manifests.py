"""Manifests on disk: old or new, never changed, never believed without their checksum, in little memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from zarr_checksum.tree import ZarrChecksumTree

from dandi_mirror.archive.zarr_entry import ZarrEntry
from dandi_mirror.errors import NotFoundError, TemporaryError
from dandi_mirror.files.not_ours import NotOurs
from dandi_mirror.mirror.zarr.entries import BadEntry, Disorder, in_order
from dandi_mirror.mirror.zarr.manifest_format import BadManifest
from dandi_mirror.mirror.zarr.manifests import ChecksumMismatch, Manifests
from dandi_mirror.mirror.zarr.state import zarr_state_of
from tests.conftest import run
from tests.support.moments import killed_at
from tests.support.zarr_entries import ZARR, real_looking

SOME = list(real_looking(2500))
STATE = zarr_state_of(ZARR, SOME)
SUM = STATE.checksum


def files(mirror: Path) -> dict[str, bytes]:
    """Every file below the mirror."""
    return {str(p.relative_to(mirror)): p.read_bytes() for p in (mirror / "zarr").rglob("*") if p.is_file()}


@pytest.mark.quick
def test_a_state_is_written_once_and_read_again(tmp_path: Path) -> None:
    manifests = Manifests(tmp_path)
    assert not manifests.has(ZARR, SUM) and manifests.states(ZARR) == []
    assert manifests.add(ZARR, SUM, iter(SOME), "s3") == STATE
    assert manifests.has(ZARR, SUM) and manifests.states(ZARR) == [SUM]
    assert manifests.state(ZARR, SUM) == STATE and manifests.header(ZARR, SUM).listed == "s3"
    assert list(manifests.read(ZARR, SUM)) == SOME
    before = files(tmp_path)
    assert list(before) == [f"zarr/0c1/f3f/{ZARR}/{SUM}"]
    # another listing of the same state changes nothing
    other = [entry._replace(version_id=None) for entry in SOME]
    assert manifests.add(ZARR, SUM, other, "api") == STATE
    assert files(tmp_path) == before


def test_entries_that_do_not_have_the_checksum_leave_nothing(tmp_path: Path) -> None:
    manifests = Manifests(tmp_path)
    for entries in (SOME[:-1], [SOME[0]._replace(size=1), *SOME[1:]], []):
        with pytest.raises(ChecksumMismatch, match="it is probably changing"):
            manifests.add(ZARR, SUM, entries, "s3")
    with pytest.raises(Disorder):
        manifests.add(ZARR, SUM, SOME[::-1], "s3")
    with pytest.raises(BadEntry):
        manifests.add(ZARR, SUM, [*SOME, SOME[-1]._replace(path="z", version_id="a b")], "s3")
    assert files(tmp_path) == {} and not manifests.has(ZARR, SUM)


def test_a_listing_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[ZarrEntry]:
        yield from SOME[:2000]
        raise TemporaryError("the server went away")

    with pytest.raises(TemporaryError, match="went away"):
        Manifests(tmp_path).add(ZARR, SUM, broken(), "s3")
    assert files(tmp_path) == {}


@pytest.mark.parametrize("zarr_id", ["", "../x", ZARR.upper(), ZARR[:-1], f"{ZARR}/..", "0c1/f3f"])
@pytest.mark.parametrize("checksum", [SUM, "../../x"])
def test_no_name_leads_elsewhere(tmp_path: Path, zarr_id: str, checksum: str) -> None:
    manifests = Manifests(tmp_path)
    for ask in (manifests.has, manifests.state, lambda *names: list(manifests.read(*names))):
        with pytest.raises(ValueError, match=r"not the (id|checksum) of a Zarr"):
            ask(zarr_id, checksum)
    with pytest.raises(ValueError, match=r"not the (id|checksum) of a Zarr"):
        manifests.add(zarr_id, checksum, SOME, "s3")
    assert files(tmp_path) == {}


def test_a_link_in_place_of_a_manifest_or_its_folder_is_not_followed(tmp_path: Path) -> None:
    elsewhere, mirror = tmp_path / "elsewhere", tmp_path / "mirror"
    Manifests(elsewhere).add(ZARR, SUM, SOME, "s3")
    mirror.mkdir()
    (mirror / "zarr").symlink_to(elsewhere / "zarr")
    manifests = Manifests(mirror)
    for ask in (manifests.has, manifests.state, lambda *names: list(manifests.read(*names))):
        with pytest.raises(NotOurs):
            ask(ZARR, SUM)
    with pytest.raises(NotOurs):
        manifests.add(ZARR, SUM, SOME, "s3")


def test_a_state_without_a_manifest_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="sync its Dandiset again"):
        Manifests(tmp_path).state(ZARR, SUM)
    with pytest.raises(NotFoundError, match="sync its Dandiset again"):
        list(Manifests(tmp_path).read(ZARR, SUM))


@pytest.mark.parametrize("place", [2, 200, 5000, -3])
def test_of_a_damaged_manifest_no_entry_is_read(tmp_path: Path, place: int) -> None:
    manifests = Manifests(tmp_path)
    manifests.add(ZARR, SUM, SOME, "s3")
    file = manifests.path(ZARR, SUM).path
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)
    with pytest.raises(BadManifest, match="remove this file, then sync its Dandiset again"):
        next(manifests.read(ZARR, SUM))


def test_paths_that_the_archive_reads_as_others_count_for_the_checksum_only(tmp_path: Path) -> None:
    odd = ["a//b", "a/./-", "/0", "./x/y", "a//c/x", "z/", "//"]
    plain = ["a/b", "a/c/y", "a/c/x", "b", "x/z"]
    entries = [ZarrEntry(path, number, f"{number:032x}") for number, path in enumerate([*odd, *plain])]
    tree, prefix = ZarrChecksumTree(), f"zarr/{ZARR}/"
    as_s3 = sorted(entries, key=lambda entry: entry.path.encode())
    for entry in as_s3:
        tree.add_leaf(Path(prefix + entry.path).relative_to(prefix), entry.size, entry.etag)
    manifests, checksum = Manifests(tmp_path), str(tree.process())
    refused: list[str] = []
    state = manifests.add(ZARR, checksum, as_s3, "s3", lambda path, _: refused.append(path))
    assert sorted(refused) == sorted(odd) and state.refused == len(odd)
    assert list(manifests.read(ZARR, checksum)) == in_order(entries)


def test_what_a_killed_run_has_left_is_removed_and_never_read(tmp_path: Path) -> None:
    manifests = Manifests(tmp_path)
    folder = manifests.path(ZARR, SUM).parent.path
    folder.mkdir(parents=True)
    (folder / f".{SUM}.123").write_bytes(b"half")
    assert not manifests.has(ZARR, SUM) and manifests.states(ZARR) == []
    manifests.add(ZARR, SUM, SOME, "s3")
    assert [file.name for file in folder.iterdir()] == [SUM]


CALLS = {"open", "os.rename", "os.mkdir", "os.remove", "os.listdir"}
"""Moments at which the writing of a manifest is killed."""


def test_killed_at_any_moment_there_is_the_whole_manifest_or_none(tmp_path: Path) -> None:
    whole, moment, manifests = 0, 0, Manifests(tmp_path)
    while moment < 100:
        moment += 1
        mirror = tmp_path / str(moment)
        mirror.mkdir()
        manifests = Manifests(mirror)
        killed = killed_at(moment, CALLS, partial(manifests.add, ZARR, SUM, SOME, "s3"))
        if manifests.has(ZARR, SUM):
            assert list(manifests.read(ZARR, SUM)) == SOME
            whole += killed
        else:
            assert manifests.states(ZARR) == [] and killed
            assert manifests.add(ZARR, SUM, SOME, "s3") == STATE
        assert [file.name for file in manifests.path(ZARR, SUM).parent.path.iterdir()] == [SUM]
        if not killed:
            break
    assert 10 < moment < 100 and whole, "it was killed before the manifest appeared and after it"


MEMORY = """
import sys
from pathlib import Path
from dandi_mirror.mirror.zarr.entries import ZarrEntry
from dandi_mirror.mirror.zarr.manifests import Manifests
from dandi_mirror.mirror.zarr.state import zarr_state_of

def most():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024

def entries(count):
    # all in one folder: the worst case
    return (ZarrEntry(f"{number:07}", number, f"{number:032x}", f"v{number}") for number in range(count))

def write(mirror, count):
    checksum = zarr_state_of(ZARR, entries(count)).checksum
    manifests = Manifests(Path(mirror))
    manifests.add(ZARR, checksum, entries(count), "s3")
    assert sum(1 for _ in manifests.read(ZARR, checksum)) == count

ZARR = sys.argv[1]
write(sys.argv[2], 1000)
before = most()
write(sys.argv[2], int(sys.argv[3]))
print(most() - before)
"""


@pytest.mark.parametrize("count", [100_000, pytest.param(1_305_320, marks=pytest.mark.slow)])
def test_a_zarr_of_many_entries_takes_little_memory(tmp_path: Path, count: int) -> None:
    done = run(sys.executable, "-c", MEMORY, ZARR, str(tmp_path), str(count))
    # the archive's largest Zarr has 1.3 million entries, and 300 MB for them
    assert int(done.stdout) < 15_000_000 + count * 215
