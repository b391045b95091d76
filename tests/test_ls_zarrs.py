"""``ls`` of Zarrs: a row for each, its entries from the mirror's manifest, and what is here of them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from dandi_mirror.embedded import Archive, Zarr
from tests.conftest import MirrorOfTest, run
from tests.support.getting import get
from tests.support.plain_zarrs import PATH, plain, synced
from tests.support.zarrs import change

pytest.importorskip("zarr")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, bytes]:
    """The entries of a Zarr of two levels."""
    return plain(tmp_path / "made", 2)


@pytest.fixture
def zarr(archive: Archive, mirror: MirrorOfTest, files: dict[str, bytes]) -> Zarr:
    """That Zarr in the mirror, beside a file."""
    made = synced(archive, mirror, files)
    mirror.server.requests.clear()
    return made


def rows(mirror: MirrorOfTest, *arguments: str, cwd: Path | None = None, code: int = 0) -> dict[str, dict[str, Any]]:
    """The JSON records of a listing by path; in a clone if ``cwd`` is one."""
    where = [] if cwd else ["-d", str(mirror.path), "-i", mirror.server.api_url]
    done = run("dandi-mirror", "ls", *arguments, "-f", "json", *where, cwd=cwd, code=code)
    return {row["file"]: row for row in map(json.loads, done.stdout.splitlines()[:-1])}


def test_a_zarr_is_one_row_with_its_size_and_the_number_of_its_entries(
    mirror: MirrorOfTest, zarr: Zarr, files: dict[str, bytes], tmp_path: Path
) -> None:
    size = sum(map(len, files.values()))
    row = rows(mirror, f"000123/{PATH}")[PATH]
    assert (row["size"], row["entries"], row["checksum"]) == (size, len(files), zarr.checksum)
    assert (row["state"], row["zarr"], row["entries_here"]) == ("zarr", zarr.zarr_id, None)
    assert f"{PATH}  (Zarr, {len(files)} entries)\n1 file, " in mirror.cli("ls", f"000123/{PATH}").stdout
    assert [len(rows(mirror, name)) for name in ("000123", "000123/sub-0")] == [1, 2]
    assert mirror.server.requests == [], "the mirror knows it"
    elsewhere = ["-d", str(tmp_path), "-i", mirror.server.api_url]
    there = json.loads(run("dandi-mirror", "ls", f"000123/{PATH}", "-f", "json", *elsewhere).stdout.splitlines()[0])
    assert {key: row[key] for key in ("size", "entries", "checksum", "zarr", "state", "subjects")} == {
        key: there[key] for key in ("size", "entries", "checksum", "zarr", "state", "subjects")
    }


def test_the_entries_come_from_the_manifest_and_nobody_is_asked(
    mirror: MirrorOfTest, zarr: Zarr, files: dict[str, bytes]
) -> None:
    inside = rows(mirror, "-r", f"000123/{PATH}")
    assert {path: row["size"] for path, row in inside.items()} == {f"{PATH}/{p}": len(c) for p, c in files.items()}
    assert inside[f"{PATH}/0/.zarray"]["entry"] == "0/.zarray"
    chunks = [f"{PATH}/{path}" for path in files if path.startswith("0/")]
    assert list(rows(mirror, f"000123/{PATH}/0")) == chunks
    assert list(rows(mirror, f"000123/{PATH}/")) == [f"{PATH}/{name}" for name in (".zattrs", ".zgroup", "0/", "1/")
                                                    if name.endswith("/") or name in files]  # fmt: skip
    assert list(rows(mirror, f"000123/{PATH}/0/.z*")) == [path for path in chunks if "/.z" in path]
    assert len(rows(mirror, "-r", "000123")) == len(files) + 1, "-r lists those of all Zarrs"
    assert mirror.cli("ls", f"000123/{PATH}/0/nothing", code=3).stderr.endswith(f"{PATH} has no 0/nothing\n")
    assert mirror.server.requests == []
    links = rows(mirror, f"000123/{PATH}/0/.zarray", "--links")[f"{PATH}/0/.zarray"]["links"]
    assert f"/zarr/{zarr.zarr_id}/0/.zarray?versionId=" in links["s3"]
    assert "download=true" in links["api"]


def test_an_older_state_is_listed_after_the_archive_has_changed_it(
    mirror: MirrorOfTest, zarr: Zarr, files: dict[str, bytes], tmp_path: Path
) -> None:
    before = zarr.checksum
    change(zarr, {"0/.zattrs": b'{"new": 1}'})
    mirror.sync(zarr_repositories="none")
    assert f"{PATH}/0/.zattrs" in rows(mirror, "-r", f"000123/{PATH}")
    old = rows(mirror, "-r", f"000123/{PATH}@{before}")
    assert list(old) == [f"{PATH}/{path}" for path in files]
    assert rows(mirror, f"000123/{PATH}@{before}")[PATH]["checksum"] == before
    assert list(rows(mirror, f"000123/{PATH}@{before}/0")) == [path for path in old if f"{PATH}/0/" in path]
    # who has only the archive cannot list it
    elsewhere = ["-d", str(tmp_path), "-i", mirror.server.api_url]
    done = run("dandi-mirror", "ls", f"000123/{PATH}@{before}/0", *elsewhere, code=3)
    assert f"the archive has the state {zarr.checksum} now, and can list no other" in done.stderr
    assert done.stdout == ""


def test_what_is_here_of_an_installed_zarr_is_counted(
    mirror: MirrorOfTest, zarr: Zarr, files: dict[str, bytes], tmp_path: Path
) -> None:
    clone = mirror.git_clone(tmp_path / "clone")
    assert rows(mirror, PATH, cwd=clone)[PATH]["entries_here"] is None
    get(clone, f"{PATH}/1")
    one = [path for path in files if path.startswith("1/") or "/" not in path]
    row = rows(mirror, PATH, cwd=clone)[PATH]
    same = {content for path, content in files.items() if path in one}
    here = [path for path, content in files.items() if content in same]
    assert (row["entries_here"], row["entries"], row["here"]) == (len(here), len(files), False)
    assert f"{len(here)}/{len(files)}" in run("dandi-mirror", "ls", PATH, cwd=clone).stdout
    found = rows(mirror, "-r", PATH, cwd=clone)
    assert [path for path, row in found.items() if row["here"]] == [f"{PATH}/{path}" for path in here]
    get(clone, PATH)
    assert rows(mirror, PATH, cwd=clone)[PATH]["here"] is True


def test_a_clone_without_the_manifest_says_where_the_entries_come_from(
    mirror: MirrorOfTest, zarr: Zarr, files: dict[str, bytes], tmp_path: Path
) -> None:
    clone = mirror.git_clone(tmp_path / "clone")
    get(clone, f"{PATH}/1")
    run("git", "-C", str(clone), "remote", "set-url", "origin", "https://example.org/000123")
    mirror.path.rename(tmp_path / "away")
    inside = rows(mirror, f"{PATH}/0", cwd=clone)
    assert len(inside) == sum(path.startswith("0/") for path in files), "the installed repository knows the state"
    assert inside[f"{PATH}/0/.zarray"]["source"] == "mirror"
    mirror.server.requests.clear()
    other = tmp_path / "other"
    run("git", "clone", "-q", str(clone), str(other))
    run("git", "-C", str(other), "remote", "set-url", "origin", "https://example.org/000123")
    row = rows(mirror, PATH, cwd=other)[PATH]
    assert (row["entries"], row["entries_here"], row["checksum"]) == (len(files), None, zarr.checksum)
    assert mirror.server.requests == [], "a row needs no manifest"
    done = run("dandi-mirror", "ls", "-r", ".", cwd=other)
    assert "a Zarr is one row each, because no mirror on this machine has the entries" in done.stderr
    assert "ls -r 000123@draft/" in done.stderr
    asked = run("dandi-mirror", "ls", f"{PATH}/0", "-i", mirror.server.api_url, cwd=other)
    assert "no mirror on this machine has the entries of this state: this is what the archive has now" in asked.stderr
    assert f"{PATH}/0/.zarray" in asked.stdout


def test_a_damaged_manifest_is_named_and_nothing_of_it_is_listed(mirror: MirrorOfTest, zarr: Zarr) -> None:
    (manifest,) = (mirror.path / "zarr").rglob(str(zarr.checksum))
    manifest.write_bytes(manifest.read_bytes()[:-1])
    done = mirror.cli("ls", "-r", f"000123/{PATH}", code=7)
    assert f"{zarr.checksum}: it is cut off" in done.stderr
    assert "/0/0" not in done.stdout


@pytest.mark.parametrize("way", ["a file", "a link that leads to itself", "another repository", "a pipe"])
def test_what_stands_in_place_of_an_installed_zarr_keeps_nothing_from_being_listed(
    mirror: MirrorOfTest, zarr: Zarr, files: dict[str, bytes], tmp_path: Path, way: str
) -> None:
    clone = mirror.git_clone(tmp_path / "clone")
    place = clone / PATH / ".git"
    if way == "a file":
        place.write_text("gitdir: /nowhere")
    elif way == "a link that leads to itself":
        place.symlink_to(place)
    elif way == "a pipe":
        os.mkfifo(place)
    else:
        run("git", "init", "-q", str(place.parent))
        (place / "refs" / "tags" / str(zarr.checksum)).write_text("0" * 40 + "\n")
        run("git", "-C", str(place.parent), "config", "core.sshCommand", f"touch {tmp_path}/ran")
    found = rows(mirror, "sub-0", cwd=clone)[PATH]
    assert (found["entries"], found["here"]) == (len(files), False)
    run("git", "-C", str(clone), "remote", "set-url", "origin", "https://example.org/000123")
    assert rows(mirror, "sub-0", cwd=clone)[PATH]["entries"] == len(files)
    done = run("dandi-mirror", "ls", "-r", "sub-0", cwd=clone)
    assert "no mirror on this machine has the entries" in done.stderr
    assert not (tmp_path / "ran").exists()
