"""Uploads beside kills, a second uploader, an embargo and the stock client."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive, Dandiset
from dandi_mirror.errors import PartError
from dandi_mirror.model import FindingKind
from dandi_mirror.upload.change.plan import Action
from dandi_mirror.upload.read.worker import Worker
from tests.conftest import MirrorOfTest, run
from tests.loop.campaign import begin, started
from tests.support.children import reader_of
from tests.support.credentials import TOKEN
from tests.support.dandi_client import dandi, files
from tests.support.dandisets import kinds
from tests.support.nwb import write_nwb
from tests.support.terminal import on_terminal
from tests.support.uploading import FIRST, SECOND, THIRD, Person, elsewhere, me, mine, paths, token

__all__ = ["elsewhere", "me", "mine", "token"]


def test_an_upload_that_is_killed_anywhere_goes_on(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    with begin(seed, tmp_path) as loop:
        loop.killed_rounds(1)
        assert loop.problems == [], f"seed {seed}"


def test_two_people_at_work_at_once_lose_nothing(tmp_path: Path) -> None:
    with begin(1, tmp_path) as loop:
        other = tmp_path / "other"
        run("datalad", "clone", str(loop.mirror.path / "000123"), str(other))
        for number in range(5):
            for folder, name in ((loop.folder, "mine"), (other, "theirs")):
                (folder / f"{name}-{number}.dat").write_bytes(f"{name} {number}".encode())
                (folder / f"same-{number}.dat").write_bytes(b"same %d" % number)
        children = [started(folder, loop.server) for folder in (loop.folder, other)]
        codes = []
        for child in children:
            _, errors = child.communicate(timeout=120)
            codes.append(child.returncode)
            assert child.returncode in {0, 3, 5}, errors.decode()
        # who came second may be behind, or may have met the other one's changes
        loop.archive.jobs.settle()
        loop.mirror.sync()
        for folder in (loop.folder, other):
            run("git", "add", "-A", cwd=folder)
        listed = [asset.path for asset in loop.dandiset.draft]
        assert len(listed) == len(set(listed))
        assert 0 in codes
        if codes == [0, 0]:
            assert sum(path.startswith(("mine", "theirs", "same")) for path in listed) == 15


def test_edits_that_a_sync_left_behind_undo_nothing(
    me: Person, mine: Dandiset, archive: Archive, mirror: MirrorOfTest
) -> None:
    me.write(FIRST, b"mine")
    mine.replace_asset(FIRST, archive.add_blob(b"theirs"))
    mine.replace_asset(SECOND, archive.add_blob(b"theirs too"))
    assert kinds(mirror.sync()) == [(FindingKind.WORKTREE, "")]
    me.server.requests.clear()
    with pytest.raises(PartError, match="move the edited files away"):
        me.upload()
    assert me.writes() == []
    (me.folder / FIRST).rename(me.folder / "aside.nwb")
    assert kinds(mirror.sync()) == []
    (me.folder / "aside.nwb").rename(me.folder / FIRST)
    archive.jobs.settle()
    planned = me.upload(paths=("nothing",)).planned
    assert [(step.do, step.path) for step in planned.plan.steps] == [(Action.REFUSED, "nothing")]


def test_an_edit_made_while_an_upload_runs_is_kept_and_never_taken_for_what_was_sent(
    me: Person, mine: Dandiset
) -> None:
    file, moved = me.write("new.dat", b"sent"), me.write("moved.dat", b"also sent")
    run("git", "annex", "add", "--backend=MD5E", "moved.dat", cwd=me.folder)
    done = me.upload(meanwhile=lambda: me.write("new.dat", b"edited since"))
    report = done.result.report
    assert report and kinds(report) == [(FindingKind.WORKTREE, "")]
    assert (file.read_bytes(), moved.read_bytes()) == (b"edited since", b"also sent")
    assert "SHA256E" in str(moved.readlink())
    sent = {asset.path: asset.blob.read() for asset in mine.draft if asset.blob}
    assert (sent["new.dat"], sent["moved.dat"]) == (b"sent", b"also sent")
    assert me.git("annex", "fsck", "--quiet", "--in", "here", "--fast") == ""
    for key in (file.readlink().name, moved.readlink().name):
        assert me.git("annex", "fsck", "--quiet", f"--key={key}") == ""


def test_what_is_committed_and_not_asked_for_stays_here_though_the_run_before_was_killed(
    me: Person, mine: Dandiset, mirror: MirrorOfTest
) -> None:
    me.write("sent.dat", b"sent"), me.write("later.dat", b"later")
    run("git", "annex", "add", "--quiet", ".", cwd=me.folder)
    me.git("commit", "-q", "-m", "mine")
    # what a killed run leaves of its lock
    (mirror.path / ".dandi-mirror" / "locks" / "000123.lock").write_bytes(b"{}")
    me.upload(paths=("sent.dat",))
    assert (me.folder / "later.dat").read_bytes() == b"later"
    assert me.upload().steps == {"later.dat": "add"}
    assert me.git("status", "--porcelain") == ""


def test_a_dandiset_under_embargo_is_made_filled_and_not_published(
    archive: Archive, mirror: MirrorOfTest, worker: Worker, token: dict[str, str]
) -> None:
    archive.add_user("me@example.org", TOKEN, name="Olive Owner")
    told = mirror.cli("create", "--name", "A secret", "--embargo", "-f", "json", env=token)
    made, summary = map(json.loads, told.stdout.splitlines())
    dandiset = made["dandiset"]
    assert made["embargo"] is True
    assert (summary["action"], summary["exit_code"]) == ("summary", 0)
    me = Person(mirror.path / dandiset, mirror.server, worker, dandiset)
    me.write("sub-1/sub-1_data.dat", b"secret")
    assert me.upload().failures == {}
    assert me.git("status", "--porcelain") == ""
    assert mirror.cli("sync", dandiset, "--embargoed", env=token).stdout == ""
    key = mirror.keys(dandiset=dandiset)["sub-1/sub-1_data.dat"]
    assert all("/blobs/" not in url for url in mirror.urls(key, dandiset))
    refused = mirror.cli("publish", dandiset, "--yes", "--wait", "1", env=token, code=3)
    assert "under embargo" in refused.stderr
    assert archive.dandisets[dandiset].published == []
    blobs = [request for request in mirror.server.requests if "/blobs/" in request.path]
    assert all("authorization" not in request.headers for request in blobs)


def test_what_would_not_be_published_is_said_in_words_before_it_is_tried(
    mine: Dandiset, archive: Archive, mirror: MirrorOfTest, token: dict[str, str]
) -> None:
    mirror.sync()
    assert "publish 000123 --yes" in mirror.cli("publish", "000123", env=token, code=2).stderr
    mine.draft.validation_errors = [{"field": "license", "message": "'license' is a required property"}]
    mine.draft.touch(archive.now())
    said = mirror.cli("publish", "000123", "--yes", env=token, code=3).stderr
    assert "its record: license: 'license' is a required property; edit it: dandi-mirror edit 000123" in said
    mine.draft.validation_errors = []
    mine.add_asset("x.zarr", zarr=mine.add_zarr("x.zarr", size=3, checksum=f"{'0' * 32}-1--3"))
    assert "it has a Zarr (x.zarr)" in mirror.cli("publish", "000123", "--yes", env=token, code=3).stderr
    mine.delete_asset("x.zarr")
    archive.zarrs.clear()
    archive.jobs.delay = None
    mine.draft.wait(archive.now())
    assert "has not validated it" in mirror.cli("publish", "000123", "-n", "--wait", "0.2", env=token, code=3).stderr
    refused = mirror.cli("publish", "000123", "-n", "-f", "json", "--wait", "0.2", env=token, code=3)
    reason, summary = map(json.loads, refused.stdout.splitlines())
    assert (reason["status"], summary["action"], summary["exit_code"]) == ("impossible", "summary", 3)
    mine.draft.validate(archive.now())
    could = mirror.cli("publish", "000123", "-n", "-f", "json", env=token)
    assert [json.loads(line)["action"] for line in could.stdout.splitlines()] == ["publish", "summary"]
    assert not [request for request in mirror.server.requests if request.method != "GET"]


def test_on_a_terminal_publishing_is_asked_about_and_an_upload_shows_how_far_it_is(
    mine: Dandiset, mirror: MirrorOfTest, me: Person, token: dict[str, str]
) -> None:
    where = ["-i", mirror.server.api_url]
    me.write("new.dat", b"new" * 1000)
    command = ("upload", str(me.folder), "--validation", "skip", "--include", "new.dat", *where)
    with on_terminal(*command, env=token) as terminal:
        assert terminal.end() == 0
        assert "waiting for the archive's checksums" in terminal.output
    mine.set_metadata(dict(mine.draft.given) | {"license": ["spdx:CC0-1.0"], "contributor": [{"name": "A"}]})
    for answer, published in (("n", 0), ("y", 1)):
        with on_terminal("publish", "000123", *where, "-d", str(mirror.path), env=token) as terminal:
            terminal.answer("(A test: 4 files, 3.0 kB)? Nobody can undo it [y/N]", answer)
            assert terminal.end() == (0 if published else 3)
        assert ("000123 was not published" in terminal.output) == (not published)
        assert "interrupted" not in terminal.output
        assert len(mine.published) == published


def test_ctrl_c_while_an_upload_checks_ends_it_at_once_and_leaves_the_terminal_as_it_was(
    mine: Dandiset, mirror: MirrorOfTest, me: Person, token: dict[str, str]
) -> None:
    for number in range(3):
        me.write(f"sub-m1/sub-m1_ses-{number}_ecephys.nwb", b"no NWB" * 100)
    # no end by force, however long it takes
    program = "from dandi_mirror.cli import exit, main; exit.GRACE = 600.0; main.main()"
    command = ("upload", str(me.folder), "-i", mirror.server.api_url)
    with on_terminal(*command, env=token, program=program) as terminal:
        os.kill(reader_of(terminal.pid), signal.SIGSTOP)
        terminal.press("checking", "\x03")
        assert terminal.end() == 130
    assert terminal.output.rfind("\x1b[?25h") > terminal.output.rfind("\x1b[?25l")
    assert [line for line in terminal.lines if line][-1].startswith("interrupted; what was complete is kept")
    assert not [line for line in terminal.lines if "checking" in line or "files" in line]


# --- the stock client ---------------------------------------------------------------------------------------


PATH = "sub-m1/sub-m1_ses-s1.nwb"
OF_THE_PLACE = ("id", "identifier", "contentUrl")
"""What no two assets share."""
OF_THE_RUN = ("dateModified", "wasGeneratedBy")
"""When and by which run it was described."""


def record(dandiset: Dandiset, path: str = PATH) -> dict[str, object]:
    asset = dandiset.draft.asset_at(path)
    assert asset
    return {key: value for key, value in asset.metadata.items() if key not in (*OF_THE_PLACE, *OF_THE_RUN)}


def test_what_goes_up_by_ours_and_by_dandi_is_the_same_asset_and_comes_down_the_same(
    mine: Dandiset, archive: Archive, mirror: MirrorOfTest, me: Person, tmp_path: Path, token: dict[str, str]
) -> None:
    theirs = archive.create_dandiset("000124", owners=("me@example.org",))
    folder = tmp_path / "000124"
    write_nwb(folder / PATH)
    (folder / "dandiset.yaml").write_text("identifier: '000124'\n")
    content = (folder / PATH).read_bytes()
    (me.folder / PATH).parent.mkdir()
    shutil.copy2(folder / PATH, me.folder / PATH)
    # ours, which looks whether it is valid first
    where = ["-i", me.server.api_url]
    done = run("dandi-mirror", "upload", *where, cwd=me.folder, env=token)
    assert done.stdout.splitlines()[-2].startswith("added 1; sent ")
    # theirs
    key = {f"{me.server.origin.removeprefix('http://')}_API_KEY": TOKEN, "DANDI_DEVEL": "1"}
    up = dandi(tmp_path, "upload", *where, "--validation", "skip", str(folder), **key)
    assert up.returncode == 0, up.stdout + up.stderr
    archive.jobs.settle()
    assert record(mine) == record(theirs)
    assert record(mine)["wasAttributedTo"]
    # and down again: ours by dandi, theirs by ours
    down = dandi(
        tmp_path, "download", "-o", str(tmp_path), f"{me.server.origin}/dandiset/000123/draft/files?location=sub-m1/"
    )
    assert down.returncode == 0, down.stdout + down.stderr
    assert files(tmp_path / "sub-m1") == {PATH.rpartition("/")[2]: content}
    mirror.cli("sync", "000124")
    run("dandi-mirror", "get", PATH, *where, cwd=mirror.path / "000124")
    assert (mirror.path / "000124" / PATH).read_bytes() == content


def test_a_file_that_is_not_valid_is_refused_and_goes_up_when_nobody_looks(
    me: Person, mine: Dandiset, token: dict[str, str]
) -> None:
    write_nwb(me.folder / "sub-m1" / "sub-m1_ses-s1.nwb", subject=None)
    done = run("dandi-mirror", "upload", "-i", me.server.api_url, cwd=me.folder, env=token, code=3)
    assert f"{PATH}: not valid: " in done.stderr
    assert f"dandi-mirror validate {PATH}" in done.stderr
    assert paths(mine) == [FIRST, SECOND, THIRD]
    assert me.upload().failures == {}
    assert PATH in paths(mine)


def test_a_small_draft_is_emptied_only_by_a_yes_or_by_allow_deletes(
    me: Person, mine: Dandiset, archive: Archive, token: dict[str, str]
) -> None:
    for path in (FIRST, SECOND, THIRD):
        (me.folder / path).unlink()
    command = ["upload", "--sync", str(me.folder), "-i", me.server.api_url]
    refused = run("dandi-mirror", *command, env=token, code=3)
    assert f"all 3 files of the archive's draft would be deleted: {FIRST}, {SECOND}, {THIRD}" in refused.stderr
    with on_terminal(*command, env=token) as terminal:
        terminal.answer("Delete them?", "n")
        assert terminal.end() == 3
    assert f"all 3 files of the archive's draft would be deleted: {FIRST}, {SECOND}, {THIRD}" in terminal.output
    assert "nothing was sent, and nothing was deleted" in terminal.output
    assert "interrupted" not in terminal.output
    assert me.writes() == []
    assert len(paths(mine)) == 3
    with on_terminal(*command, env=token) as terminal:
        terminal.answer("Delete them?", "y")
        assert terminal.end() == 0
    assert paths(mine) == []
