"""``get`` of Zarrs: installed at the state of the gitlink, chunks before metadata, no array open that lacks some."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from starlette.responses import Response

from dandi_mirror.embedded import Archive
from dandi_mirror.mirror.zarr.arrays import may_cover
from tests.conftest import MirrorOfTest, run
from tests.support.dandisets import seed
from tests.support.getting import get
from tests.support.plain_zarrs import FORMATS, PATH, plain, synced, truth
from tests.support.zarrs import a_zarr, change, files_of, made_by_zarr

np = pytest.importorskip("numpy")
zarr_python = pytest.importorskip("zarr")


def present(folder: Path) -> set[str]:
    """The entries of an installed Zarr whose content is here."""
    found = (path for path in folder.rglob("*") if ".git" not in path.parts and path.is_symlink())
    return {path.relative_to(folder).as_posix() for path in found if path.exists()}


@FORMATS
def test_a_whole_zarr_comes_from_a_bare_id_and_opens(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path, zarr_format: int
) -> None:
    files = files_of(made_by_zarr(tmp_path / "made", zarr_format))
    made = synced(archive, mirror, files)
    work = tmp_path / "work"
    work.mkdir()
    done = run("dandi-mirror", "get", "000123", PATH, "-d", str(mirror.path), "-i", mirror.server.api_url, cwd=work)
    folder = work / "000123" / PATH
    assert {path: (folder / path).read_bytes() for path in files} == files
    assert (folder / ".dandi/zarr-checksum").read_text().strip() == made.checksum
    assert "whole arrays: 0, 1" in done.stdout + done.stderr
    root = zarr_python.open_group(str(folder), mode="r")
    assert truth(root["0"]) and truth(root["1"])
    assert run("git", "status", "--porcelain", cwd=work / "000123").stdout == ""
    assert run("git", "annex", "fsck", "-q", cwd=folder).stdout == ""
    assert run("dandi-mirror", "get", PATH, cwd=work / "000123").stdout.count("000123") == 0


@FORMATS
def test_one_level_opens_and_the_other_does_not(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path, zarr_format: int
) -> None:
    synced(archive, mirror, plain(tmp_path / "made", zarr_format))
    clone = mirror.git_clone(tmp_path / "clone")
    get(clone, f"{PATH}/1")
    assert not any(path.startswith("0/") and path[-1].isdigit() for path in present(clone / PATH))
    root = zarr_python.open_group(str(clone / PATH), mode="r")
    assert truth(root["1"])
    with pytest.raises(KeyError):
        root["0"]


@FORMATS
def test_metadata_wait_until_the_last_chunk_is_here(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path, zarr_format: int
) -> None:
    files = plain(tmp_path / "made", zarr_format)
    synced(archive, mirror, files)
    clone = mirror.git_clone(tmp_path / "clone")
    last = sorted(path for path in files if path.startswith("0/") and not path.endswith((".zarray", ".zattrs", "n")))[
        -1
    ]
    some = [f"{PATH}/{path}" for path in files if path.startswith("0/") and path not in {last}]
    records = get(clone, *some, code=3)
    waiting = [record for record in records if record["status"] == "impossible"]
    assert [Path(record["path"]).name for record in waiting] == [".zarray" if zarr_format == 2 else "zarr.json"]
    with pytest.raises(KeyError):
        zarr_python.open_group(str(clone / PATH), mode="r")["0"]
    get(clone, f"{PATH}/0")
    assert truth(zarr_python.open_group(str(clone / PATH), mode="r")["0"])


def test_of_arrays_with_equal_metadata_both_have_to_be_whole(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    files = plain(tmp_path / "made", 2)
    files |= {path.replace("0/", "again/", 1): content for path, content in files.items() if path.startswith("0/")}
    files["again/0.0" if "0/0.0" in files else "again/0/0"] = b"another chunk"
    synced(archive, mirror, files)
    clone = mirror.git_clone(tmp_path / "clone")
    records = get(clone, f"{PATH}/0", code=3)
    (waiting,) = [record for record in records if record["status"] == "impossible"]
    assert "chunks of again are here, too" in waiting["message"]
    assert "0/.zarray" not in present(clone / PATH)
    get(clone, f"{PATH}/again")
    assert {"0/.zarray", "again/.zarray"} <= present(clone / PATH)


def test_a_chunk_that_is_gone_keeps_its_array_closed(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> None:
    files = plain(tmp_path / "made", 2)
    synced(archive, mirror, files)
    gone = next(path for path in files if path.startswith("0/") and path[-1].isdigit())
    named = {gone, quote(gone, safe="")}
    mirror.server.intercept = lambda asked: (
        Response(status_code=404) if any(text in f"{asked.path}?{asked.query}" for text in named) else None
    )
    clone = mirror.git_clone(tmp_path / "clone")
    records = get(clone, PATH, code=3)
    bad = [record for record in records if "file" in record and record["status"] != "ok"]
    assert {record["file"]: record["status"] for record in bad} == {gone: "error", "0/.zarray": "impossible"}
    assert present(clone / PATH) == files.keys() - {gone, "0/.zarray"}


@FORMATS
def test_metadata_are_placed_after_every_chunk(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path, zarr_format: int
) -> None:
    files = files_of(made_by_zarr(tmp_path / "made", zarr_format))
    synced(archive, mirror, files)
    clone = mirror.git_clone(tmp_path / "clone")
    get(clone, PATH)
    placed = {path: (clone / PATH / path).stat().st_ctime_ns for path in files}
    assert min(placed[path] for path in files if may_cover(path)) > max(
        placed[path] for path in files if path[-1].isdigit()
    )


def test_without_a_mirror_it_is_said_what_to_type(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> None:
    synced(archive, mirror, plain(tmp_path / "made", 2))
    clone = mirror.git_clone(tmp_path / "clone")
    mirror.path.rename(tmp_path / "elsewhere")
    records = get(clone, PATH, code=3)
    (failed,) = [record for record in records if record["status"] == "error" and "file" in record]
    assert "dandi-mirror sync 000123 -d DIR" in failed["message"]
    records = get(clone, PATH, "-d", str(tmp_path / "elsewhere"))
    assert any(may_cover(record.get("path", "")) for record in records)


@pytest.mark.parametrize("form", ["../mirror/000123", "../mirror/000123/.git", "file://{}/000123"])
def test_the_mirror_of_a_clone_is_found_by_any_address_on_this_disk(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path, form: str
) -> None:
    synced(archive, mirror, plain(tmp_path / "made", 2))
    clone = mirror.git_clone(tmp_path / "clone")
    # DataLad leaves a relative path as somebody typed it
    run("git", "remote", "set-url", "origin", form.format(mirror.path), cwd=clone)
    get(clone, f"{PATH}/1/.zarray", "-n")
    get(clone, f"{PATH}/1")
    assert "1/.zarray" in present(clone / PATH)


def test_a_dry_run_lists_the_entries_of_a_zarr_that_is_not_installed_and_writes_nothing(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    files = plain(tmp_path / "made", 2)
    synced(archive, mirror, files)
    level = {path for path in files if path.startswith("1/")}
    (work := tmp_path / "work").mkdir()
    bare = ["000123", f"{PATH}/1", "-n", "-d", str(mirror.path), "-i", mirror.server.api_url]
    mirror.server.requests.clear()
    for where, arguments in ((work, bare), (mirror.git_clone(tmp_path / "clone"), [f"{PATH}/1", "-n"])):
        before = sorted(where.glob("*"))
        records = [record for record in get(where, *arguments) if "file" in record]
        assert {record["file"] for record in records} == level
        assert sum(record["size"] for record in records) == sum(len(files[path]) for path in level)
        assert sorted(where.glob("*")) == before and not list((where / PATH).glob("*"))
    assert mirror.server.requests == [] and not list((mirror.path / "zarr").rglob("*.git"))


def test_in_the_mirror_itself_and_from_within_the_zarr(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> None:
    made = synced(archive, mirror, plain(tmp_path / "made", 2))
    folder = mirror.path / "000123" / PATH
    get(mirror.path / "000123", f"{PATH}/1")
    get(folder, "0")
    assert set(files_of(tmp_path / "made")) == present(folder)
    change(made, {"0/0.0": b"new", "0/0/0": b"new"})
    assert mirror.sync().exit_code == 0


def test_metadata_that_others_brought_and_another_state_are_named(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    made = synced(archive, mirror, plain(tmp_path / "made", 2))
    folder = mirror.path / "000123" / PATH
    get(mirror.path / "000123", f"{PATH}/1")
    run("git", "annex", "get", "-q", "0/.zarray", cwd=folder)
    done = run("dandi-mirror", "get", f"{PATH}/1", cwd=mirror.path / "000123")
    assert "CAREFUL: these open and read as fill values where files are missing: 0\n" in done.stderr
    assert "another state" not in done.stderr
    change(made, {"more": b"1"})
    assert mirror.sync(zarr_repositories="none").exit_code == 0
    done = run("dandi-mirror", "get", f"{PATH}/1", cwd=mirror.path / "000123")
    assert "another state checked out than the dataset has" in done.stderr


@pytest.mark.parametrize("inside", ["1", "1/*", "1/"])
def test_what_is_in_a_zarr_is_named_in_one_word(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path, inside: str
) -> None:
    synced(archive, mirror, plain(tmp_path / "made", 2))
    work, where = tmp_path / "work", ("-d", str(mirror.path), "-i", mirror.server.api_url)
    work.mkdir()
    shown = run("dandi-mirror", "get", f"000123/{PATH}/{inside}", "-n", *where, cwd=work)
    assert "1/.zarray" in shown.stdout and "0/.zarray" not in shown.stdout
    done = run("dandi-mirror", "get", f"000123/{PATH}/{inside}", *where, cwd=work)
    assert "whole arrays: 1; not whole: 0" in done.stdout + done.stderr
    assert {"1/.zarray"} == {path for path in present(work / "000123" / PATH) if path.endswith(".zarray")}
    for command in ("ls", "download"):
        arguments = ("-o", str(tmp_path / "out")) if command == "download" else ("-r",)
        said = run("dandi-mirror", command, f"000123/{PATH}/{inside}", *arguments, *where, cwd=work)
        assert command == "download" or "1/0" in said.stdout
    assert not list((tmp_path / "out").rglob("0/.zarray"))
    assert len(list((tmp_path / "out").rglob("1/.zarray"))) == 1


def test_a_zarr_that_a_folder_does_not_stand_for_is_named(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    synced(archive, mirror, plain(tmp_path / "made", 2))
    clone = mirror.git_clone(tmp_path / "clone")
    for folder, typed in ((clone, "."), (clone, "sub-0"), (clone / "sub-0", "."), (tmp_path, "clone")):
        (folder / "sub-0").mkdir(exist_ok=True) if folder == clone else None
        said = run("dandi-mirror", "get", typed, cwd=folder).stderr
        start = "a Zarr was not fetched, as nobody named it; to get it: dandi-mirror get "
        assert said.startswith(start), said
        command = said.removeprefix(start).strip()
        assert (folder / command).resolve() == (clone / PATH).resolve()
    assert "would get" in run("dandi-mirror", "get", "-n", command, "-d", str(mirror.path), cwd=folder).stdout
    run("dandi-mirror", "get", command, "-d", str(mirror.path), "-i", mirror.server.api_url, cwd=folder)
    assert "not fetched" not in run("dandi-mirror", "get", ".", cwd=clone).stderr


def test_what_is_in_several_zarrs_is_named_by_a_glob(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> None:
    made = seed(archive, 1)
    for name in ("sub-0/x.zarr", "sub-1/y.zarr", "sub-1/z.ngff"):
        a_zarr(made, name, plain(tmp_path / name, 2))
    assert mirror.sync(zarr_repositories="none").exit_code == 0
    clone = mirror.git_clone(tmp_path / "clone")
    get(clone, "sub-*/*.zarr/1")
    for name in ("sub-0/x.zarr", "sub-1/y.zarr"):
        assert {"1/.zarray"} == {path for path in present(clone / name) if path.endswith(".zarray")}
    assert not list((clone / "sub-1/z.ngff").iterdir())
