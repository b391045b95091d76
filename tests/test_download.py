"""``download``: plain files, from the mirror's content or the archive, verified; and what becomes of those there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response
from yaml import safe_load as load

from dandi_mirror.archive.names import parse
from dandi_mirror.embedded import Archive, Request
from dandi_mirror.mirror.contents.files import Contents, VersionFile
from dandi_mirror.mirror.fetch.download_plan import PARTIALS, plan_download, relative_target
from tests.conftest import MirrorOfTest, run
from tests.support.credentials import TOKEN, variable
from tests.support.downloading import asked, download, found
from tests.support.waiting import LONG

TAG = "0.240101.0000"
ONE, TWO = b"one" * 1000, b"two" * 2000
TIME = "2020-05-17T10:00:00Z"
SECONDS = 1589709600
FILES = {"sub-1/a.nwb": ONE, "sub-1/b.nwb": TWO, "sub-2/a.nwb": ONE, "README.md": b"# read\n"}


@pytest.fixture
def version(archive: Archive, mirror: MirrorOfTest) -> MirrorOfTest:
    """A published version: two files of the same content, one of another, and a text."""
    dandiset = archive.create_dandiset("000123", name="A test")
    for path, content in FILES.items():
        dandiset.add_asset(path, archive.add_blob(content), metadata={"blobDateModified": TIME})
    dandiset.publish(TAG, created="2024-01-01T00:00:00Z")
    return mirror


def broken(request: Request) -> Response | None:
    return Response(b"x" * 3000) if "/blobs/" in request.path or "/download/" in request.path else None


def test_a_dandiset_comes_as_plain_files_and_the_same_content_once(version: MirrorOfTest, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = download(version, out, "000123")
    assert done.stdout.startswith("downloaded 5 files, ")
    files = found(out / "000123")
    assert json.loads(files.pop("dandiset.yaml"))["version"] == TAG
    assert files == FILES
    assert len(asked(version)) == 3
    assert [path.name for path in out.iterdir()] == ["000123"], "nothing is left of the transfer"
    assert {int((out / "000123" / path).stat().st_mtime) for path in FILES} == {SECONDS}
    assert not any(path.is_symlink() for path in out.rglob("*"))


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
    assert done.stderr == "sub-1/a.nwb: it is there already; to choose what happens to it, add -e\n"
    assert (asked(version), state(out)) == ([], first)
    for existing in ("skip", "overwrite-different", "refresh"):
        done = download(version, out, name, "-e", existing)
        assert (done.stdout, asked(version), state(out)) == ("", [], first), existing
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
    clone = tmp_path / "clone"
    run("git", "clone", "-q", str(version.path / "000123"), str(clone))
    name = f"{version.server.api_url}/dandisets/000123/versions/{TAG}/assets/?path=sub-1/a.nwb"
    for existing in ("refresh", "overwrite-different"):
        done = download(version, clone / "sub-1", name, "-e", existing)
        assert (done.stdout, asked(version)) == ("", [])
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


def test_files_of_one_call_do_not_replace_each_other(version: MirrorOfTest, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "000123").mkdir(parents=True)
    (out / "000123" / "sub-2").write_text("mine")
    names = ["000123/sub-1/a.nwb", "000123/sub-2/a.nwb", "000123/README.md", "000123"]
    done = download(version, out, *names, "-e", "overwrite", code=3)
    way = out / "000123" / "sub-2"
    words = "a link or a file stands where this folder should be; move it away, or choose another -o"
    assert done.stderr == f"sub-2/a.nwb: {way}: {words}\n"
    files = found(out)
    assert files.pop("000123/dandiset.yaml")
    assert files == {
        "a.nwb": ONE, "README.md": FILES["README.md"], "000123/sub-2": b"mine", "000123/README.md": FILES["README.md"],
        "000123/sub-1/a.nwb": ONE, "000123/sub-1/b.nwb": TWO,
    }  # fmt: skip
    taken: dict[Path, str] = {}
    for digest, status in (("1" * 64, None), ("1" * 64, "notneeded"), ("2" * 64, "error")):
        contents = Contents("000123", TAG, "", [VersionFile("sub-1/a.nwb", 1, "", digest)])
        plan = plan_download(parse("000123/sub-1/a.nwb"), contents, tmp_path / "two", "overwrite", taken)
        assert [done.status for done in plan.settled] == ([status] if status else [])
    listing = f"{version.server.api_url}/dandisets/000123/versions/draft/assets/?path="
    done = download(version, tmp_path / "two", "000123/sub-1/a.nwb", f"{listing}sub-1/a.nwb", "-e", "overwrite")
    assert done.stdout.endswith("1 were there\n")


def test_the_token_goes_to_the_api_only(archive: Archive, version: MirrorOfTest, tmp_path: Path) -> None:
    archive.add_user("me", TOKEN)
    done = version.cli("download", "000123", "-o", str(tmp_path), "-l", "debug", env={variable(version.server): TOKEN})
    with_token = {request.path for request in version.server.requests if "authorization" in request.headers}
    assert "/api/dandisets/000123/" in with_token
    assert all(path.startswith("/api/") for path in with_token)
    assert any("/blobs/" in path for path in asked(version))
    assert TOKEN not in done.stdout + done.stderr


def test_what_has_come_is_not_fetched_again(version: MirrorOfTest, tmp_path: Path) -> None:
    partial = tmp_path / "out" / PARTIALS / sha256(TWO).hexdigest()
    partial.parent.mkdir(parents=True)
    partial.write_bytes(TWO[:4000])
    done = download(version, tmp_path / "out", "000123/sub-1/b.nwb")
    assert done.stdout == "downloaded 1 file, 6.0 kB\n"
    ranges = [request.headers.get("range") for request in version.server.requests if "/blobs/" in request.path]
    assert ranges == ["bytes=4000-5999"]
    assert found(tmp_path / "out") == {"b.nwb": TWO}


def test_ctrl_c_keeps_what_is_complete(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> None:
    dandiset = archive.create_dandiset("000123", name="A test")
    for number in range(40):
        dandiset.add_asset(f"{number:02}.nwb", archive.add_blob(str(number).encode() * 1000))

    def slow(request: Request) -> Response | None:
        time.sleep(0.1 if "/blobs/" in request.path else 0)
        return None

    mirror.server.intercept = slow
    out = tmp_path / "out"
    words = ["download", "000123@draft", "-o", str(out), "-d", str(mirror.path), "-i", mirror.server.api_url]
    command = [sys.executable, "-m", "dandi_mirror", *words, "-J", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        deadline = time.monotonic() + LONG
        while len(list(out.glob("000123/*.nwb"))) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=LONG)
    assert child.returncode == 130
    assert said.strip() == "interrupted; what was complete is kept, run the command again for the rest"
    complete = len(list(out.glob("000123/*.nwb")))
    assert 3 <= complete < 40
    mirror.server.intercept = None
    done = download(mirror, out, "000123@draft", "-e", "refresh")
    assert f"; {complete + 1} were there" in done.stdout, "and the record"
    assert 40 - complete <= len(asked(mirror)) <= 41 - complete
    assert all((out / f"000123/{number:02}.nwb").read_bytes() == str(number).encode() * 1000 for number in range(40))
    assert [path.name for path in out.iterdir()] == ["000123"]


def test_files_go_where_the_dandi_client_puts_them(version: MirrorOfTest, tmp_path: Path) -> None:
    listing = f"{version.server.api_url}/dandisets/000123/versions/{TAG}"
    links = [
        f"{version.server.origin}/dandiset/000123/{TAG}",
        f"{version.server.origin}/dandiset/000123/{TAG}/files?location=sub-1",
        f"{listing}/assets/?glob=sub-2*",
        f"{listing}/assets/?path=README",
    ]
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    theirs.mkdir()
    run("dandi", "download", "-o", str(theirs), *links)
    run("dandi-mirror", "download", "-o", str(ours), *links, "-d", str(tmp_path))
    yaml = Path("000123", "dandiset.yaml")
    assert load((ours / yaml).read_text())["id"] == load((theirs / yaml).read_text())["id"]
    for folder in (theirs, ours):
        (folder / yaml).unlink()
    assert found(ours) == found(theirs)
    again = run("dandi", "download", "-e", "overwrite-different", "-o", str(ours), *links[1:])
    assert "error" not in again.stdout.lower()
