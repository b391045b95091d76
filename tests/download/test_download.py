"""Plain files, from the mirror's content or the archive, verified."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response

from dandi_mirror.archive.names import parse
from dandi_mirror.embedded import Archive, Request
from dandi_mirror.mirror.fetch.download_plan import relative_target
from tests.conftest import MirrorOfTest, run
from tests.support.download_plain import FILES, ONE, TAG, TWO
from tests.support.downloading import asked, download, found

SECONDS = 1589709600
THERE = "nothing to download: 1 file is there already\n"


def broken(request: Request) -> Response | None:
    return Response(b"x" * 3000) if "/blobs/" in request.path or "/download/" in request.path else None


def test_a_disk_without_room_is_seen_before_anything_is_fetched(
    archive: Archive, version: MirrorOfTest, tmp_path: Path
) -> None:
    for number in range(200):
        huge = archive.add_blob(b"not so many bytes %d" % number)
        huge.size = 5 * 10**12
        archive.dandisets["000123"].add_asset(f"sub-9/{number}.nwb", huge)
    out = tmp_path / "out"
    told = download(version, out, "000123@draft/sub-9", code=6).stderr
    assert f"{out}: the download needs 1,000,000,000,000,000 bytes and " in told
    assert told.endswith("are free; free some space, or name fewer files\n")
    assert (asked(version), list(out.iterdir())) == ([], [])


def test_a_dandiset_comes_as_plain_files_and_the_same_content_once(version: MirrorOfTest, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = download(version, out, "000123")
    assert done.stdout.startswith(f"downloaded {len(FILES)} files and dandiset.yaml, ")
    files = found(out / "000123")
    assert json.loads(files.pop("dandiset.yaml"))["version"] == TAG
    assert files == FILES
    assert len(asked(version)) == 3
    assert [path.name for path in out.iterdir()] == ["000123"], "nothing is left of the transfer"
    assert {int((out / "000123" / path).stat().st_mtime) for path in FILES} == {SECONDS}
    assert not any(path.is_symlink() for path in out.rglob("*"))


def test_the_folder_above_a_linked_folder_is_the_one_that_the_system_means(
    version: MirrorOfTest, tmp_path: Path
) -> None:
    work, lab = tmp_path / "work", tmp_path / "lab" / "data"
    work.mkdir()
    lab.mkdir(parents=True)
    (work / "data").symlink_to(lab)
    options = ("-i", version.server.api_url, "-o", "data/../out")
    run("dandi-mirror", "download", f"000123@{TAG}/sub-1", *options, cwd=work)
    assert found(lab.parent / "out") == {"sub-1/a.nwb": ONE, "sub-1/b.nwb": TWO}
    assert not (work / "out").exists()


def test_the_mirrors_content_is_taken_and_nobody_is_asked(version: MirrorOfTest, tmp_path: Path) -> None:
    version.sync()
    version.git("annex", "get", ".")
    download(version, tmp_path / "out", f"000123@{TAG}")
    files = found(tmp_path / "out" / "000123")
    assert version.server.requests == []
    record = version.git("cat-file", "blob", f"{TAG}:dandiset.yaml").encode() + b"\n"
    assert files == {**FILES, "dandiset.yaml": record}
    # what is spoilt in the mirror comes from the archive
    content = version.path / "000123" / "sub-1/b.nwb"
    content.resolve().parent.chmod(0o755)
    content.resolve().chmod(0o644)
    content.resolve().write_bytes(b"x" * len(TWO))
    download(version, tmp_path / "again", f"000123@{TAG}/sub-1")
    assert found(tmp_path / "again") == {"sub-1/a.nwb": ONE, "sub-1/b.nwb": TWO}
    assert len(asked(version)) == 1
    assert content.read_bytes() == b"x" * len(TWO), "the mirror is only read"


@pytest.mark.parametrize(
    ("name", "preserve", "places"),
    [
        ("000123", False, ["000123/sub-1/a.nwb"]),
        ("000123/sub-1/a.nwb", False, ["a.nwb"]),
        ("000123/sub-1/", False, ["sub-1/a.nwb"]),
        ("000123/sub-1/x", False, ["x/a.nwb"]),
        ("000123/sub-*", False, ["sub-1/x/a.nwb"]),
        ("000123/sub-1", True, ["000123/sub-1/a.nwb"]),
        ("https://h.example/api/dandisets/000123/versions/draft/assets/?path=sub-1/a", False, ["a.nwb"]),
        ("https://h.example/api/assets/0a748f90-d497-4a9c-822e-9c63811db412/", False, ["a.nwb"]),
    ],
)
def test_where_a_file_goes(name: str, preserve: bool, places: list[str]) -> None:
    path = "sub-1/x/a.nwb" if "x" in name.rpartition("/")[2] or "*" in name else "sub-1/a.nwb"
    assert [relative_target(parse(name), path, "000123", preserve_tree=preserve)] == places


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(path): (path.read_bytes(), path.stat().st_ino) for path in sorted(folder.iterdir())}


def test_what_becomes_of_files_that_are_there(version: MirrorOfTest, tmp_path: Path) -> None:
    out = tmp_path / "out"
    name = f"000123@{TAG}/sub-1/a.nwb"
    download(version, out, name)
    first = state(out)
    done = download(version, out, name, code=3)
    assert done.stderr == "sub-1/a.nwb: it is there already; add -e skip, overwrite, overwrite-different or refresh\n"
    assert (asked(version), state(out)) == ([], first)
    for existing in ("skip", "overwrite-different", "refresh"):
        done = download(version, out, name, "-e", existing)
        assert (done.stdout, asked(version), state(out)) == (THERE, [], first), existing
    file = out / "a.nwb"
    # the same size, time and another content: refresh trusts, overwrite-different reads
    file.write_bytes(ONE[::-1])
    os.utime(file, (SECONDS, SECONDS + 1))
    download(version, out, name, "-e", "refresh")
    assert file.read_bytes() == ONE[::-1]
    download(version, out, name, "-e", "overwrite-different")
    assert (file.read_bytes(), len(asked(version))) == (ONE, 1)
    os.utime(file, (SECONDS, SECONDS + 60))
    download(version, out, name, "-e", "refresh")
    assert len(asked(version)) == 1
    download(version, out, name, "-e", "skip")
    assert asked(version) == []
    download(version, out, name, "-e", "overwrite")
    assert len(asked(version)) == 1
    file.unlink()
    file.mkdir()
    done = download(version, out, name, "-e", "overwrite", code=3)
    assert "there is a folder in its place" in done.stderr


def test_a_link_of_git_annex_counts_by_its_key_and_is_never_written_through(
    version: MirrorOfTest, tmp_path: Path
) -> None:
    version.sync()
    clone = version.git_clone(tmp_path / "clone")
    name = f"{version.server.api_url}/dandisets/000123/versions/{TAG}/assets/?path=sub-1/a.nwb"
    for existing in ("refresh", "overwrite-different"):
        done = download(version, clone / "sub-1", name, "-e", existing)
        assert (done.stdout, asked(version)) == (THERE, [])
    version.git("annex", "get", "sub-1/a.nwb")
    link = version.path / "000123" / "sub-1" / "a.nwb"
    content = link.resolve()
    download(version, link.parent, name, "-e", "overwrite")
    assert not link.is_symlink()
    assert content.read_bytes() == ONE


def test_wrong_bytes_never_become_a_file_and_the_others_come(version: MirrorOfTest, tmp_path: Path) -> None:
    version.server.intercept = broken
    done = version.cli("download", "000123", "-o", str(tmp_path / "out"), "-f", "json", code=3)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert {record["status"] for record in records[:-1] if record["file"] != "dandiset.yaml"} == {"error"}
    assert list(found(tmp_path / "out" / "000123")) == ["dandiset.yaml"]
    version.server.intercept = None
    download(version, tmp_path / "out", "000123", "-e", "refresh")
    assert {path: content for path, content in found(tmp_path / "out" / "000123").items() if path in FILES} == FILES


def test_a_url_that_somebody_added_to_git_annex_is_neither_asked_nor_shown(
    version: MirrorOfTest, tmp_path: Path
) -> None:
    """Whoever made the repository could have readers ask any host; the bytes of a version are the archive's."""
    version.sync()
    here = version.path / "000123"
    key = (here / "sub-1/a.nwb").readlink().name
    run("git", "annex", "registerurl", key, "http://1-collector.example/x", cwd=here)  # the first by name
    assert any("collector" in url for url in version.urls(key))
    shown = version.cli("ls", "-r", "--links", "000123").stdout
    assert "/blobs/" in shown and "collector" not in shown
    done = download(version, tmp_path / "out", "000123@draft")
    assert (done.returncode, "collector" in done.stderr) == (0, False)
    assert (tmp_path / "out" / "000123" / "sub-1" / "a.nwb").read_bytes() == ONE


def test_what_cannot_be_downloaded_is_named(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> None:
    dandiset = archive.create_dandiset("000123", name="A test")
    dandiset.add_asset("ok.nwb", archive.add_blob(ONE))
    dandiset.add_asset("../../evil", archive.add_blob(TWO), unchecked=True)
    dandiset.add_asset("pending.nwb", archive.add_blob(b"p", sha256_known=False))
    done = download(mirror, tmp_path / "out", "000123@draft", "-f", "json", code=3)
    records: dict[str, Any] = {record.get("file"): record for record in map(json.loads, done.stdout.splitlines())}
    assert (records["../../evil"]["status"], records["../../evil"]["path"]) == ("impossible", "")
    assert records["pending.nwb"]["status"] == "impossible"
    assert (tmp_path / "out/000123/ok.nwb").read_bytes() == ONE
    assert sorted(found(tmp_path / "out")) == ["000123/dandiset.yaml", "000123/ok.nwb"]
    assert not list(tmp_path.glob("**/evil"))
    again = download(mirror, tmp_path / "other", "000123@draft", "-n", code=3)
    assert "ok.nwb" in again.stdout
    assert not (tmp_path / "other").exists()
