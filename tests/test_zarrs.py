"""Zarrs: `download` brings them as folders of plain files, whole and verified; `ls` looks into them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from starlette.responses import Response

from dandi_mirror.embedded import Archive, Request, Zarr
from dandi_mirror.mirror.fetch.download_plan import PARTIALS
from tests.conftest import MirrorOfTest
from tests.support.credentials import TOKEN, variable
from tests.support.downloading import download, found
from tests.support.zarrs import SMALL as FILES
from tests.support.zarrs import a_zarr, checksum, hold

PATH = "sub-1/x.ome.zarr"


@pytest.fixture
def zarr(archive: Archive, mirror: MirrorOfTest) -> Zarr:
    """A draft that holds a Zarr and a file beside it."""
    dandiset = archive.create_dandiset("000123", name="A test")
    made = a_zarr(dandiset, PATH)
    dandiset.add_asset("sub-1/a.nwb", archive.add_blob(b"one"))
    return made


def entries_asked(mirror: MirrorOfTest) -> list[str]:
    """Which files of a Zarr were asked for, at S3 or at the API."""
    requests = mirror.server.requests
    return [request.path for request in requests if "/dandi-dandisets/zarr/" in request.path] + [
        request.query for request in requests if "download=true" in request.query
    ]


def names(mirror: MirrorOfTest, zarr: Zarr) -> dict[str, str]:
    s3 = f"{mirror.server.origin}/dandi-dandisets/zarr/{zarr.zarr_id}/"
    return {
        "path": f"000123/{PATH}", "version": f"000123@draft/{PATH}", "page": f"dandi://dandi/000123@draft/{PATH}",
        "id": f"{mirror.server.api_url}/zarr/{zarr.zarr_id}/", "s3": s3,
    }  # fmt: skip


@pytest.mark.parametrize("form", ["path", "version", "page", "id", "s3"])
def test_a_zarr_comes_as_a_folder_by_any_of_its_names(
    mirror: MirrorOfTest, zarr: Zarr, tmp_path: Path, form: str
) -> None:
    out = tmp_path / "out"
    done = download(mirror, out, names(mirror, zarr)[form])
    assert done.stdout == "downloaded 1 file, 27.0 kB\n"
    assert found(out) == {f"x.ome.zarr/{path}": content for path, content in FILES.items()}
    assert len(entries_asked(mirror)) == len(FILES) - 1, "the same bytes come once"
    assert not any("download=true" in path for path in entries_asked(mirror)), "S3 comes first"
    assert [path.name for path in out.iterdir()] == ["x.ome.zarr"], "nothing is left of the transfer"


def test_all_of_a_dandiset_brings_its_zarrs_too(mirror: MirrorOfTest, zarr: Zarr, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = download(mirror, out, "000123", "-f", "json")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [record["file"] for record in records[:-1]] == ["dandiset.yaml", "sub-1/a.nwb", PATH]
    assert (records[2]["status"], records[2]["size"]) == ("ok", sum(map(len, FILES.values())))
    files = found(out / "000123")
    del files["dandiset.yaml"]
    assert files == {"sub-1/a.nwb": b"one"} | {f"{PATH}/{path}": content for path, content in FILES.items()}
    # of a mirror's Zarr, too, the bytes come from the archive
    assert mirror.sync().exit_code == 0
    download(mirror, tmp_path / "again", f"000123/{PATH}")
    assert len(found(tmp_path / "again")) == len(FILES)


@pytest.mark.parametrize(
    ("entry", "files"),
    [
        ("arr/0", {"0/0": FILES["arr/0/0"], "0/1": FILES["arr/0/1"]}),
        ("arr/.zarray", {".zarray": b"{}"}),
        ("arr/1 a/", {"1 a/0": FILES["arr/1 a/0"]}),
    ],
)
def test_a_part_of_a_zarr_comes_alone(
    mirror: MirrorOfTest, zarr: Zarr, tmp_path: Path, entry: str, files: dict[str, bytes]
) -> None:
    for number, name in enumerate((f"000123@draft/{PATH}/{entry}", names(mirror, zarr)["s3"] + entry)):
        out = tmp_path / str(number)
        download(mirror, out, name)
        assert found(out) == files
        assert len(entries_asked(mirror)) == len(set(files.values()))
    kept = tmp_path / "kept"
    download(mirror, kept, f"000123@draft/{PATH}/{entry}", "--preserve-tree")
    assert {path for path in found(kept) if path != "000123/dandiset.yaml"} == {
        f"000123/{PATH}/{path}" for path in FILES if f"{path}/".startswith(entry.rstrip("/") + "/")
    }


def test_what_is_not_in_a_zarr_is_said(mirror: MirrorOfTest, zarr: Zarr, tmp_path: Path) -> None:
    done = download(mirror, tmp_path / "out", f"000123@draft/{PATH}/arr/7", code=3)
    assert done.stderr == f"dandi-mirror: {PATH} has no arr/7\n"
    assert not (tmp_path / "out").exists()


def test_what_becomes_of_a_zarr_that_is_there(
    archive: Archive, mirror: MirrorOfTest, zarr: Zarr, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    name = f"000123@draft/{PATH}"
    download(mirror, out, name)
    done = download(mirror, out, name, code=3)
    assert done.stderr == f"{PATH}: it is there already; add -e skip, overwrite, overwrite-different or refresh\n"
    for existing in ("skip", "overwrite-different", "refresh"):
        done = download(mirror, out, name, "-e", existing)
        assert (done.stdout, entries_asked(mirror)) == ("nothing to download: 1 file is there already\n", []), existing
    # one file more, one less, one of the same size with other bytes
    later = {**FILES, "arr/2": b"new", "arr/1 a/0": b"\2" * 9000}
    del later["arr/0/1"]
    hold(zarr, later)
    (out / "x.ome.zarr" / "notes").mkdir()
    (out / "x.ome.zarr" / "notes" / "mine.txt").write_text("not of the archive")
    download(mirror, out, name, "-e", "skip")
    assert len(found(out)) == len(FILES) + 1
    download(mirror, out, name, "-e", "overwrite-different")
    assert found(out) == {f"x.ome.zarr/{path}": content for path, content in later.items()}
    assert len(entries_asked(mirror)) == 3, "the two, and the metadata of their array, which came last"
    assert not (out / "x.ome.zarr" / "notes").exists()
    (out / "x.ome.zarr" / "arr" / "2").write_bytes(b"old")
    os.utime(out / "x.ome.zarr" / "arr" / "2", (1, 1))
    download(mirror, out, name, "-e", "refresh")
    assert (out / "x.ome.zarr" / "arr" / "2").read_bytes() == b"new"
    assert len(entries_asked(mirror)) == 2
    download(mirror, out, name, "-e", "overwrite")
    assert len(entries_asked(mirror)) == len(set(later.values()))


@pytest.mark.parametrize("existing", ["overwrite", "overwrite-different", "refresh"])
def test_a_folder_that_is_no_zarr_is_not_emptied_by_a_record_that_calls_it_one(
    existing: str, archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    a_zarr(archive.create_dandiset("000123", name="Mice"), "Documents", FILES)
    mirror.sync()
    (tmp_path / "Documents").mkdir()
    (tmp_path / "Documents" / "thesis.tex").write_text("mine")
    done = download(mirror, tmp_path, "000123@draft/Documents", "-e", existing, code=3)
    assert (
        "Documents: the folder in its place is no Zarr, and files in it would be deleted; move it away" in done.stderr
    )
    assert (tmp_path / "Documents" / "thesis.tex").read_text() == "mine"


def test_a_file_in_its_place_is_left_alone(mirror: MirrorOfTest, zarr: Zarr, tmp_path: Path) -> None:
    (tmp_path / "x.ome.zarr").write_text("mine")
    done = download(mirror, tmp_path, f"000123@draft/{PATH}", "-e", "overwrite", code=3)
    assert done.stderr == f"{PATH}: there is a file in its place; move it away\n"
    assert (tmp_path / "x.ome.zarr").read_text() == "mine"


def test_a_folder_where_a_file_of_the_zarr_goes_is_said_and_nothing_is_taken_away(
    mirror: MirrorOfTest, zarr: Zarr, tmp_path: Path
) -> None:
    download(mirror, tmp_path, f"000123@draft/{PATH}")
    inside = tmp_path / "x.ome.zarr" / "arr"
    (inside / ".zarray").unlink()
    (inside / ".zarray").mkdir()
    (inside / ".zarray" / "mine").write_text("mine")
    done = download(mirror, tmp_path, f"000123@draft/{PATH}", "-e", "refresh", code=3)
    assert (
        "1 of its 6 files could not be downloaded; arr/.zarray: there is a folder in its place; move it away"
        in done.stderr
    )
    assert (inside / ".zarray" / "mine").read_text() == "mine"


def test_wrong_bytes_never_make_a_zarr_and_the_next_run_asks_for_the_rest_only(
    mirror: MirrorOfTest, zarr: Zarr, tmp_path: Path
) -> None:
    def broken(request: Request) -> Response | None:
        wrong = request.path.endswith("/arr/1 a/0") or request.path.endswith("/arr/1%20a/0")
        return Response(b"\3" * 9000) if wrong else None

    mirror.server.intercept = broken
    done = download(mirror, tmp_path, f"000123@draft/{PATH}", code=3)
    words = "arr/1 a/0: the downloaded bytes do not match its MD5"
    assert done.stderr == f"{PATH}: 1 of its 6 files could not be downloaded; {words}\n"
    assert not (tmp_path / "x.ome.zarr").exists()
    mirror.server.intercept = None
    download(mirror, tmp_path, f"000123@draft/{PATH}")
    assert len(entries_asked(mirror)) == 1
    assert len(found(tmp_path / "x.ome.zarr")) == len(FILES)
    assert not (tmp_path / PARTIALS).exists()


def test_a_zarr_in_the_making_and_one_that_changes_while_it_is_listed_do_not_come(
    archive: Archive, mirror: MirrorOfTest, zarr: Zarr, tmp_path: Path
) -> None:
    zarr.status = "Pending"
    done = download(mirror, tmp_path / "out", f"000123@draft/{PATH}", code=3)
    assert "the archive is still processing it; run the command again later" in done.stderr
    hold(zarr, FILES)
    zarr.files["arr/3"] = b"just uploaded"
    done = download(mirror, tmp_path / "out", f"000123@draft/{PATH}", code=3)
    assert "the listed files do not have its checksum" in done.stderr
    assert entries_asked(mirror) == []
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("../../x", "an empty, '.' or '..' component"),
        ("a//b", "an empty, '.' or '..' component"),
        (".git/config", "git's own"),
        ("arr", "a file and a folder at once"),
    ],
)
def test_a_zarr_that_would_write_elsewhere_does_not_come(
    mirror: MirrorOfTest, zarr: Zarr, tmp_path: Path, key: str, why: str
) -> None:
    zarr.files[key] = b"evil"
    zarr.checksum = checksum({**FILES, key: b"evil"})
    done = download(mirror, tmp_path / "in" / "out", f"000123@draft/{PATH}", code=3)
    assert why in done.stderr
    assert found(tmp_path / "in") == {}


def test_a_zarr_at_a_path_that_leads_elsewhere_does_not_come(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    dandiset = archive.create_dandiset("000123", name="A test")
    a_zarr(dandiset, "x.zarr")
    asset = next(iter(dandiset.draft))
    asset.path = "sub-1/../../x.zarr"
    done = download(mirror, tmp_path / "in" / "out", "000123@draft", code=3)
    assert "'..' component in the path" in done.stderr
    assert not (tmp_path / "in" / "x.zarr").exists()
    assert not (tmp_path / "in" / "out" / "x.zarr").exists()


def test_an_embargoed_zarr_comes_from_the_api_and_the_key_goes_nowhere_else(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    archive.add_user("ada", TOKEN)
    dandiset = archive.create_dandiset("000123", name="A test", embargo_status="EMBARGOED", owners=("ada",))
    a_zarr(dandiset, "x.zarr")
    mirror.server.requests.clear()
    mirror.cli("download", "000123@draft/x.zarr", "-o", str(tmp_path), env={variable(mirror.server): TOKEN})
    assert found(tmp_path / "x.zarr") == FILES
    told = {request.path for request in mirror.server.requests if "authorization" in request.headers}
    assert all(path.startswith("/api/") for path in told)
    at_s3 = [request for request in mirror.server.requests if "/dandi-dandisets/" in request.path]
    assert at_s3
    assert all("X-Amz-Signature" in request.query for request in at_s3), "S3 is not asked in vain"


def test_a_dry_run_says_what_would_come_and_a_look_inside_lists_it(
    mirror: MirrorOfTest, zarr: Zarr, tmp_path: Path
) -> None:
    done = download(mirror, tmp_path / "out", f"000123@draft/{PATH}", "-n")
    assert "x.ome.zarr" in done.stdout
    assert "would download 1 file" in done.stdout
    assert not (tmp_path / "out").exists()
    listed = mirror.cli("ls", f"000123@draft/{PATH}/arr/", "-r", "-f", "json").stdout.splitlines()
    entries = [json.loads(line) for line in listed]
    assert {entry["file"]: entry["size"] for entry in entries[:-1]} == {
        f"{PATH}/{path}": len(content) for path, content in FILES.items() if path.startswith("arr/")
    }
    links = mirror.cli("ls", names(mirror, zarr)["s3"] + ".zgroup", "--links").stdout
    assert f"/dandi-dandisets/zarr/{zarr.zarr_id}/.zgroup" in links


def test_get_brings_a_zarr_by_its_path_and_says_how_one_comes_by_its_id(
    mirror: MirrorOfTest, zarr: Zarr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror.sync()
    monkeypatch.chdir(tmp_path)
    for name in names(mirror, zarr).values():
        done = mirror.cli("get", name, code=2 if "zarr/" in name else 0)
        assert ("dandi-mirror download" if "zarr/" in name else "whole arrays: arr") in done.stderr, name


def test_a_link_in_a_zarrs_folder_is_neither_written_through_nor_emptied(
    zarr: Zarr, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    out, victim = tmp_path / "out", tmp_path / "victim"
    place = out / "x.ome.zarr"
    place.mkdir(parents=True)
    victim.mkdir()
    (victim / ".zarray").write_text("mine")
    (victim / "other").write_text("mine")
    (place / "arr").symlink_to(victim)
    done = download(mirror, out, f"000123@draft/{PATH}", "-e", "overwrite", code=3)
    assert "a link or a file stands where this folder should be" in done.stderr
    assert found(victim) == {".zarray": b"mine", "other": b"mine"}
