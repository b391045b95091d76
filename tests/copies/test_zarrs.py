"""The content of Zarrs is counted, fetched, challenged, held, given up and restored like that of files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.responses import Response

from dandi_mirror.embedded import Archive, Zarr, serve
from dandi_mirror.mirror.zarr.arrays import may_cover
from dandi_mirror.mirror.zarr.repository import repository_name
from dandi_mirror.text import human_size
from tests.conftest import MirrorOfTest, own_home, run
from tests.support.dandisets import participant
from tests.support.ssh_server import ssh_server
from tests.support.three_mirrors import DANDISET, ThreeMirrors, records, sizes
from tests.support.web_server import let_git_read, web_server
from tests.support.zarrs import a_zarr, files_of, made_by_zarr

PATH, OTHER, FILE = "sub-0/x.ome.zarr", "sub-1/y.zarr", "sub-0/a.nwb"
NWB = b"the content of a file"


class Made(ThreeMirrors):
    """Three mirrors of a Dandiset with a file and two Zarrs; basel holds all but one Zarr, oxford all."""

    zarr: Zarr
    other: Zarr

    def repository(self, mirror: MirrorOfTest, zarr: Zarr | None = None) -> Path:
        """The repository of a Zarr in a mirror."""
        return mirror.path / repository_name((zarr or self.zarr).zarr_id)

    def here_of(self, mirror: MirrorOfTest, zarr: Zarr | None = None) -> set[str]:
        """The keys of a Zarr that a mirror holds."""
        objects = self.repository(mirror, zarr) / "annex/objects"
        return {path.name for path in objects.rglob("*") if path.is_file()}


def size_of(zarr: Zarr) -> int:
    return sum(map(len, contents(zarr)))


def contents(zarr: Zarr) -> list[bytes]:
    return [content for content in zarr.files.values() if isinstance(content, bytes)]


@pytest.fixture(scope="module")
def _world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    archive, folder = Archive(instance_name="DANDI"), tmp_path_factory.mktemp("zarrs")
    with pytest.MonkeyPatch.context() as patch, serve(archive) as server:
        for name, value in own_home(folder / "home").items():
            patch.setenv(name, value)
        made = archive.create_dandiset(DANDISET, name="a Dandiset with Zarrs")
        made.add_asset(FILE, archive.add_blob(NWB), metadata=participant("0"))
        files = files_of(made_by_zarr(folder / "zarr", 2))
        zarr, other = a_zarr(made, PATH, files), a_zarr(made, OTHER, {".zgroup": b"{}", "a/0": b"1" * 30})
        names = ("here", "oxford", "basel")
        three = Made(archive, *(MirrorOfTest(folder / "made" / name, server) for name in names))
        three.zarr, three.other = zarr, other
        for name in names:
            getattr(three, name).cli("sync", DANDISET)
        three.oxford.cli("hold", "--max-size", "1T")
        three.basel.cli("hold", "--max-size", str(size_of(other) + len(NWB)))
        yield three


@pytest.fixture
def three(_world: Made, tmp_path: Path) -> Made:
    """Copies of the mirrors, for one test to change."""
    shutil.copytree(_world.here.path.parent, tmp_path / "three", symlinks=True)
    mirrors = {
        name: replace(getattr(_world, name), path=tmp_path / "three" / name) for name in ("here", "oxford", "basel")
    }
    copied = Made(_world.archive, **mirrors)
    copied.zarr, copied.other = _world.zarr, _world.other
    copied.know(copied.here, {name: str(mirrors[name].path) for name in ("oxford", "basel")})
    return copied


@pytest.fixture
def away(_world: Made) -> Iterator[None]:
    """The archive has nothing any more."""
    _world.here.server.intercept = lambda request: Response(status_code=404)
    yield
    _world.here.server.intercept = None


def row_of(mirror: MirrorOfTest) -> dict[str, object]:
    (found,) = records(mirror.cli("coverage", "-f", "json").stdout, "coverage")
    row: dict[str, object] = found["versions"][-1]
    return row


def test_the_mirrors_hold_what_their_pledges_have_room_for(three: Made) -> None:
    assert len(three.here_of(three.oxford)) == len(set(contents(three.zarr)))
    assert len(three.here_of(three.oxford, three.other)) == 2
    assert len(three.here_of(three.basel, three.other)) == 2
    assert not three.here_of(three.basel), "a Zarr that does not fit is not held in part"
    run("git", "annex", "fsck", "--quiet", "--all", cwd=three.repository(three.oxford))


def test_zarrs_count_when_they_were_fetched_and_proved(three: Made) -> None:
    large, small = size_of(three.zarr), size_of(three.other)
    row = row_of(three.here)
    assert sizes(row) == [large + small + len(NWB), 0, 0, 0]
    assert (row["zarrs"], row["archive"]["size"]) == (2, large + small + len(NWB))  # type: ignore[index]
    said = three.here.cli("fetch").stdout.splitlines()
    files = len(three.here_of(three.oxford)) + 3
    assert said[0].startswith(f"{DANDISET}  oxford  {files} files")
    assert said[1].startswith(f"{DANDISET}  basel  3 files")
    assert sizes(row_of(three.here))[0] == large + small + len(NWB), "nobody has proved anything"
    three.here.cli("challenge")
    assert sizes(row_of(three.here)) == [0, large, small + len(NWB), 0]
    assert three.here.cli("fetch").stdout == "", "nothing has changed since"
    # stock git-annex sees the same
    key = next(iter(three.here_of(three.oxford)))
    there = json.loads(
        run("git", "annex", "whereis", "--json", f"--key={key}", cwd=three.repository(three.here)).stdout
    )
    uuid = run("git", "config", "annex.uuid", cwd=three.repository(three.oxford)).stdout.strip()
    assert uuid in {place["uuid"] for place in there["whereis"]}
    assert three.here.cli("verify", DANDISET, "--offline", "--content", "1").stdout == f"{DANDISET}  ok\n"


def test_a_zarr_is_held_whole_with_the_metadata_of_arrays_last(three: Made) -> None:
    three.here.server.requests.clear()
    shown = three.here.cli("hold", "--max-size", "1T", "-n").stdout
    assert f"{PATH}  (" in shown
    assert not (three.repository(three.here) / "annex").exists(), "a dry run does nothing"
    three.here.cli("hold", "--max-size", "1T")
    asked = [request.path for request in three.here.server.requests if f"zarr/{three.zarr.zarr_id}/" in request.path]
    entries = [path.split(three.zarr.zarr_id)[1].lstrip("/") for path in asked]
    last = next(place for place, entry in enumerate(entries) if may_cover(entry))
    assert all(may_cover(entry) for entry in entries[last:])
    assert three.here_of(three.here) == three.here_of(three.oxford)
    assert sizes(row_of(three.here))[0] == 0
    again = three.here.cli("hold", "--max-size", "1T")
    assert again.stdout == "gave up 0 files, 0 bytes; fetched 0 files, 0 bytes\n"
    run("git", "annex", "fsck", "--quiet", "--all", cwd=three.repository(three.here))
    # and a clone gets the content from there
    clone = three.here.path.parent / "clone"
    run("git", "clone", "-q", str(three.repository(three.here)), str(clone))
    run("git", "annex", "get", "-q", ".", cwd=clone)
    assert {path: (clone / path).read_bytes() for path in three.zarr.files} == dict(three.zarr.files)


def test_a_zarr_without_room_is_named_with_the_room_that_is_missing_and_the_others_are_held(three: Made) -> None:
    size, room = size_of(three.zarr), size_of(three.zarr) - 1 - size_of(three.other) - len(NWB)
    pledge = ("--max-size", str(size - 1))
    for dry in ((), ("-n",)):
        done = three.here.cli("hold", *pledge, *dry)
        expected = (
            f"{DANDISET}  {PATH} is not held: the Zarr has {human_size(size)}, and {human_size(room)} of the pledge"
        )
        assert expected in done.stderr
        assert f"it needs {human_size(size - room)} more" in done.stderr
    assert len(three.here_of(three.here, three.other)) == 2
    assert not three.here_of(three.here)
    *found, end = [json.loads(line) for line in three.here.cli("hold", *pledge, "-f", "json").stdout.splitlines()]
    (one,) = [record for record in found if record["what"] == "leave out"]
    assert (one["file"], one["size"], one["status"], one["exit_code"]) == (PATH, size, "impossible", 0)
    assert (end["room"], end["left_out"]) == (room, 1)
    assert three.here.cli("hold", "--max-size", "1T", "-n").stderr == ""


def test_a_zarr_is_given_up_only_when_two_mirrors_show_all_of_it(three: Made) -> None:
    three.here.cli("hold", "--max-size", "1T")
    three.here.cli("fetch")
    three.here.cli("challenge")
    # of the large one there is only one other copy
    kept = three.here.cli("hold", "--max-size", "100", "--give-up", code=3)
    assert "too few mirrors have copies" in kept.stderr
    assert three.here_of(three.here) == three.here_of(three.oxford)
    assert not three.here_of(three.here, three.other), "of the small one there were two"
    # one file of the other copy is damaged: all of the Zarr stays
    three.basel.cli("hold", "--max-size", "1T")
    three.here.cli("fetch")
    three.here.cli("challenge")
    file = next(
        path
        for path in (three.repository(three.basel) / "annex/objects").rglob("*")
        if path.is_file() and path.stat().st_size > 50
    )
    file.parent.chmod(0o755)
    file.chmod(0o644)
    file.write_bytes(b"x" * file.stat().st_size)
    kept = three.here.cli("hold", "--max-size", "100", "--give-up", code=3)
    assert f"{PATH} stays: copies of 1 of its" in kept.stderr
    assert three.here_of(three.here) == three.here_of(three.oxford)


@pytest.mark.usefixtures("away")
def test_a_version_comes_whole_from_other_mirrors_with_its_zarrs(three: Made) -> None:
    shown = three.here.cli("restore", f"{DANDISET}@draft", "-n").stdout
    assert f"{PATH}/.zgroup" in shown
    three.here.server.requests.clear()
    done = three.here.cli("restore", f"{DANDISET}@draft", "--from", "oxford")
    assert three.here.server.requests == []
    assert done.stdout.startswith("restored ")
    assert three.here_of(three.here) == three.here_of(three.oxford)
    assert (three.here.path / DANDISET / FILE).read_bytes() == NWB
    got = run("dandi-mirror", "get", PATH, OTHER, "-i", three.here.server.api_url, cwd=three.here.path / DANDISET)
    assert "whole arrays: 0, 1" in got.stderr
    folder = three.here.path / DANDISET / PATH
    assert {path: (folder / path).read_bytes() for path in three.zarr.files} == dict(three.zarr.files)
    again = three.here.cli("restore", f"{DANDISET}@draft", "-n").stdout
    assert again == "", "all of it is here"


@pytest.mark.usefixtures("away")
def test_what_no_mirror_has_of_a_zarr_is_named(three: Made) -> None:
    done = three.here.cli("restore", f"{DANDISET}@draft", "--from", "basel", code=3)
    assert f"{PATH}: no mirror of the settings has content of this Zarr" in done.stderr
    assert f"{PATH} is in the mirror's repository" not in done.stderr
    assert f"{OTHER} is in the mirror's repository" in done.stderr
    assert len(three.here_of(three.here, three.other)) == 2
    three.here.cli("restore", f"{DANDISET}@draft", "--from", "oxford")
    assert three.here_of(three.here) == three.here_of(three.oxford)


def test_damaged_content_of_a_held_zarr_is_found_and_repaired(three: Made) -> None:
    objects = three.repository(three.oxford) / "annex/objects"
    damaged, lost = sorted(path for path in objects.rglob("*") if path.is_file())[:2]
    for file in (damaged, lost):
        file.parent.chmod(0o755)
        file.chmod(0o644)
    before = damaged.read_bytes()
    damaged.write_bytes(b"x" * len(before))
    lost.unlink()
    found = three.oxford.cli("verify", DANDISET, "--offline", "--content", "1", code=7).stdout
    assert f"{damaged.name}: its checksum is" in found, found
    assert f"{lost.name}: the location log says that its content is here" in found
    three.oxford.cli("verify", DANDISET, "--content", "1", "--repair")
    assert damaged.read_bytes() == before and lost.exists()
    assert three.oxford.cli("verify", DANDISET, "--offline", "--content", "1").stdout == f"{DANDISET}  ok\n"


def test_a_mirror_that_gave_up_a_zarr_is_believed(three: Made) -> None:
    three.here.cli("fetch")
    run("chmod", "-R", "u+w", str(three.repository(three.oxford)))
    shutil.rmtree(three.repository(three.oxford))
    said = three.here.cli("fetch", "oxford").stdout
    assert f"-{len(set(contents(three.zarr)))}" in said
    three.here.cli("challenge", "oxford")
    assert sizes(row_of(three.here))[0] == size_of(three.zarr)


@pytest.mark.usefixtures("away")
def test_files_and_zarrs_come_by_ssh_and_are_proved(
    three: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ssh_server(tmp_path / "ssh", monkeypatch) as place:
        three.know(three.here, {"oxford": f"ssh://{place}{three.oxford.path}"})
        assert three.here.cli("fetch").stdout.startswith(f"{DANDISET}  oxford  17 files")
        three.here.cli("restore", f"{DANDISET}@draft")
        three.here.cli("challenge")
    assert three.here_of(three.here) == three.here_of(three.oxford)
    assert (three.here.path / DANDISET / FILE).read_bytes() == NWB
    assert sizes(row_of(three.here)) == [0, 0, size_of(three.zarr) + size_of(three.other) + len(NWB), 0]


@pytest.mark.usefixtures("away")
def test_a_zarr_comes_over_http(three: Made) -> None:
    let_git_read(three.oxford.path)
    with web_server(three.oxford.path) as (url, _):
        three.know(three.here, {"oxford": url})
        three.here.cli("restore", f"{DANDISET}@draft")
        three.here.cli("challenge")
    assert three.here_of(three.here) == three.here_of(three.oxford)
    assert sizes(row_of(three.here))[:2] == [0, 0], "here and at oxford"


def test_what_get_brought_into_the_work_tree_counts_here(three: Made) -> None:
    run("dandi-mirror", "get", f"{PATH}/1", "-i", three.here.server.api_url, cwd=three.here.path / DANDISET)
    row = row_of(three.here)
    files = {path: content for path, content in three.zarr.files.items() if isinstance(content, bytes)}
    came = sum(len(content) for path, content in files.items() if path.startswith("1/"))
    assert sizes(row)[1] >= came > 0
    assert sum(sizes(row)) == size_of(three.zarr) + size_of(three.other) + len(NWB)
