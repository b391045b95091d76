"""A download that is repeated, interrupted, or meets files of its own."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

from starlette.responses import Response
from yaml import safe_load as load

from dandi_mirror.archive.names import parse
from dandi_mirror.embedded import Archive, Request
from dandi_mirror.mirror.contents.files import Contents, VersionFile
from dandi_mirror.mirror.fetch.download_plan import PARTIALS, plan_download
from dandi_mirror.paths import DANDISET_YAML
from tests.conftest import MirrorOfTest, run
from tests.support.credentials import TOKEN, variable
from tests.support.download_plain import FILES, ONE, TAG, TWO
from tests.support.downloading import asked, download, found
from tests.support.held_back import HeldBack
from tests.support.waiting import LONG


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
    assert done.stdout.endswith("1 was there\n")


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
    assert f"; {complete} were there" in done.stdout
    assert 40 - complete <= len(asked(mirror)) <= 41 - complete
    assert all((out / f"000123/{number:02}.nwb").read_bytes() == str(number).encode() * 1000 for number in range(40))
    assert [path.name for path in out.iterdir()] == ["000123"]


def test_two_downloads_at_once_into_one_folder_both_succeed(version: MirrorOfTest, tmp_path: Path) -> None:
    out, held = tmp_path / "out", HeldBack(version.server)
    where = ["-d", str(version.path), "-i", version.server.api_url, "-o", str(out)]
    command = [sys.executable, "-m", "dandi_mirror", "download", "000123", *where, "-J", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        assert held.came.wait(LONG)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as second:
            assert second.stderr
            assert re.fullmatch("another download is fetching 1 file; waiting for it\n", second.stderr.readline())
            held.go.set()
            said, trouble = second.communicate(timeout=LONG)
        assert (second.returncode, trouble) == (0, ""), said
        first.communicate(timeout=LONG)
    assert first.returncode == 0
    assert {path: content for path, content in found(out / "000123").items() if path != DANDISET_YAML} == FILES
    assert [path.name for path in out.iterdir()] == ["000123"]


def test_if_all_is_there_already_it_says_so(version: MirrorOfTest, tmp_path: Path) -> None:
    download(version, tmp_path, "000123")
    done = download(version, tmp_path, "000123", "-e", "skip")
    assert done.stdout == "nothing to download: 4 files are there already\n"
    assert download(version, tmp_path, "000123", "-e", "skip", "-n").stdout == done.stdout


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
