"""A mirror and a clone of it know their archive, and no command asks another one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

from dandi_mirror.embedded import Archive, Request, serve
from dandi_mirror.mirror.state.layout import Mirror
from tests.conftest import MirrorOfTest, run
from tests.support.dandisets import seed
from tests.support.waiting import LONG, wait_until


def test_a_mirror_knows_its_archive_and_no_command_asks_another(archive: Archive, mirror: MirrorOfTest) -> None:
    seed(archive)
    mirror.cli("sync", "000123")
    here, url = ["-d", str(mirror.path)], mirror.server.api_url
    mirror.server.requests.clear()
    for command in (["sync"], ["status"], ["sync", "000123", "--mode", "force"]):
        run("dandi-mirror", *command, *here)
        assert mirror.server.requests, "its own archive was asked"
        mirror.server.requests.clear()
    assert url in run("dandi-mirror", "config", *here).stdout
    other = "https://api.example.org/api"
    for command in (
        ["sync", *here], ["status", *here], ["push", *here], ["ls", "000124", *here], ["create", "--name", "x", *here],
        ["download", "000124", *here], ["get", "000124", *here], ["publish", "000123", "-n", *here],
        ["upload", str(mirror.path / "000123")],
    ):  # fmt: skip
        done = run("dandi-mirror", *command, "-i", other, code=2)
        assert f"{mirror.path} is a mirror of {url}, and -i says {other}" in done.stderr, command
    done = run("dandi-mirror", "sync", *here, env={"DANDI_INSTANCE": "dandi-sandbox"}, code=2)
    assert f"is a mirror of {url}, and DANDI_INSTANCE says dandi-sandbox" in done.stderr
    assert mirror.server.requests == []


def test_a_clone_of_a_mirror_brings_no_archive_along(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> None:
    seed(archive)
    mirror.sync()
    assert Mirror(mirror.path).superdataset.archive() == mirror.server.api_url
    clone = tmp_path / "clone"
    run("datalad", "clone", str(mirror.path), str(clone))
    assert Mirror(clone).superdataset.archive() == ""


def test_a_mirror_whose_first_sync_was_killed_knows_its_archive(archive: Archive, mirror: MirrorOfTest) -> None:
    _kill_the_first_sync(archive, mirror)
    here, url = ["-d", str(mirror.path)], mirror.server.api_url
    assert f"{url} " in run("dandi-mirror", "config", *here).stdout
    head = mirror.git("rev-parse", "draft")
    linc = Archive(instance_name="LINC")
    seed(linc)
    with serve(linc) as other:
        done = run("dandi-mirror", "sync", *here, "-i", other.api_url, code=2)
        assert f"{mirror.path} is a mirror of {url}, and -i says {other.api_url}" in done.stderr
        run("dandi-mirror", "sync", "000123", "--mode", "force", *here, "-i", other.api_url, code=2)
    done = run("dandi-mirror", "sync", *here, "-i", "https://api.example.org/api", code=2)
    assert f"{mirror.path} is a mirror of {url}, and -i says https://api.example.org/api" in done.stderr
    assert mirror.git("rev-parse", "draft") == head
    mirror.server.requests.clear()
    run("dandi-mirror", "status", *here)
    run("dandi-mirror", "sync", *here)
    assert mirror.server.requests, "its own archive was asked"
    assert Mirror(mirror.path).superdataset.archive() == url


def test_two_archives_of_one_name_on_this_machine_are_two_and_one_that_moved_is_named_to_the_mirror(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    dandiset = seed(archive)
    mirror.sync()
    here, head = ["-d", str(mirror.path)], mirror.git("rev-parse", "draft")
    run("dandi-mirror", "sync", *here, "-i", mirror.server.api_url.replace("127.0.0.1", "localhost"))
    assert mirror.git("rev-parse", "draft") == head, "one machine, by either of its names"
    other = Archive()
    seed(other, 1)
    with serve(other) as served:
        done = run("dandi-mirror", "sync", *here, "-i", served.api_url, code=2)
        assert served.requests == [] and mirror.git("rev-parse", "draft") == head
    dandiset.add_asset("sub-9/sub-9.nwb", archive.add_blob(b"9"))
    with serve(archive) as moved:
        asked = ["sync", *here, "-i", moved.api_url]
        done = run("dandi-mirror", *asked, code=2)
        _, _, remedy = done.stderr.strip().rpartition("tell the mirror: ")
        run(*remedy.split())
        run("dandi-mirror", *asked)
    assert mirror.git("rev-parse", "draft") != head


def _kill_the_first_sync(archive: Archive, mirror: MirrorOfTest) -> None:
    """Kill a sync of two Dandisets when the first is written; the second does not come."""
    seed(archive)
    archive.create_dandiset("000124", name="It does not come")
    dead = threading.Event()

    def hold_back(request: Request) -> None:
        if "000124" in request.path:
            dead.wait(LONG)

    mirror.server.intercept = hold_back
    command = [sys.executable, "-m", "dandi_mirror", "sync", "000123", "000124", "-d", str(mirror.path)]
    with subprocess.Popen([*command, "-i", mirror.server.api_url], start_new_session=True) as child:
        try:
            wait_until(lambda: Mirror(mirror.path).ref("000123", "refs/heads/draft"))
            wait_until(lambda: Mirror(mirror.path).index.get("000123"))
        finally:
            os.killpg(child.pid, signal.SIGKILL)
            dead.set()
    mirror.server.intercept = None


def test_a_note_of_the_archive_that_came_with_a_repository_does_not_count(tmp_path: Path) -> None:
    strange = tmp_path / "strange"
    (strange / ".dandi-mirror").mkdir(parents=True)
    (strange / ".dandi-mirror/archive").write_text("https://evil.example.org/api x\n")
    run("git", "init", "-q", str(strange))
    assert Mirror(strange).archive() == "https://evil.example.org/api"
    run("git", "-C", str(strange), "add", "-f", ".dandi-mirror/archive")
    assert Mirror(strange).archive() == ""


def test_a_clone_of_a_mirror_asks_its_archive_or_says_that_it_must_be_named(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    seed(archive)
    mirror.cli("sync", "000123")
    clone, url = tmp_path / "clone", mirror.server.api_url
    run("datalad", "clone", str(mirror.path), str(clone))
    assert "instance           dandi                            (the archive of this mirror)" in _config(clone), (
        "by its id"
    )
    run("datalad", "get", "-n", "000123", cwd=clone)
    assert f"{url} " in _config(clone)
    mirror.server.requests.clear()
    run("dandi-mirror", "status", cwd=clone, code=None)
    assert mirror.server.requests, "its own archive was asked"
    run("git", "config", "--global", "--unset", "annex.security.allowed-ip-addresses")
    for command in (["status"], ["sync"]):
        done = run("dandi-mirror", *command, cwd=clone, code=2)
        assert f"{clone} is a clone of a mirror of {url}, and that address is on this machine" in done.stderr
        assert f"-i {url}" in done.stderr
    (clone / ".datalad/config").write_text('[datalad "dataset"]\n\tid = 0b6b1f57-4a0f-4f7e-8a3c-6a2a5e2f0c11\n')
    shutil.rmtree(clone / "000123")
    (clone / "000123").mkdir()
    done = run("dandi-mirror", "status", "000123", cwd=clone, code=2)
    assert f"{clone} does not say which archive it mirrors; name that archive: -i NAME or -i URL" in done.stderr


def _config(mirror: Path) -> str:
    return run("dandi-mirror", "config", cwd=mirror).stdout


def test_get_takes_no_name_of_another_archive_for_its_own(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    seed(archive)
    mirror.sync()
    mirror.server.requests.clear()
    here, empty = ["-d", str(mirror.path)], tmp_path / "empty"
    empty.mkdir()
    done = run("dandi-mirror", "get", "DANDI-SANDBOX:000004", cwd=empty, code=2)
    assert "no mirror of 000004 of dandi-sandbox is known; make one" in done.stderr
    done = run("dandi-mirror", "get", "LINC:000123", "-n", *here, cwd=empty, code=2)
    assert f"{mirror.path}/000123 is DANDI:000123, and LINC:000123 says linc" in done.stderr
    run("git", "-C", str(mirror.path), "config", "dandi-mirror.archive", "https://api.dandiarchive.org/api")
    for name in ("LINC:000124", "https://lincbrain.org/dandiset/000124"):
        for command in ("get", "ls", "sync", "status", "download"):
            done = run("dandi-mirror", command, name, *here, cwd=empty, code=2)
            assert f"{mirror.path} is a mirror of dandi, and {name} says " in done.stderr
    for command in ("cite", "log", "diff"):
        done = run("dandi-mirror", command, "LINC:000123", *here, cwd=empty, code=2)
        assert f"{mirror.path} is a mirror of dandi, and LINC:000123 says linc" in done.stderr
    for name in ("000123", "DANDI:000123", "https://dandiarchive.org/dandiset/000123"):
        assert "would be cloned from" in run("dandi-mirror", "get", name, "-n", *here, cwd=empty).stderr
    assert list(empty.iterdir()) == []
    assert mirror.server.requests == []
