"""A mirror from somebody else, with links and strange files in place of the program's own: nothing else is touched."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive
from dandi_mirror.errors import DiskError
from dandi_mirror.files.not_ours import NotOurs
from dandi_mirror.files.own import OwnPath
from dandi_mirror.mirror.monitor.run_log import past_runs
from dandi_mirror.mirror.monitor.status import words as words_of_metrics
from dandi_mirror.mirror.search.index import update_index
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.state.remembered import RememberedDandiset
from dandi_mirror.model import Report
from dandi_mirror.repo.git import lock
from tests.conftest import MirrorOfTest, run
from tests.support.own_files import fill, snapshot

FILES = (
    ".dandi-mirror/locks/000123.lock",
    ".dandi-mirror/locks/superdataset.lock",
    ".dandi-mirror/index.sqlite",
    ".dandi-mirror/index.sqlite-journal",
    ".dandi-mirror/known/000123.sqlite",
    "000123/.git/dandi-mirror-sync.json",
    "000123/.git/dandi-mirror-checkout",
)
FOLDERS = (".dandi-mirror", ".dandi-mirror/locks", ".dandi-mirror/known", ".dandi-mirror/log", ".dandi-mirror/tmp")


def said(act: Callable[[], object]) -> str:
    """What somebody is told, if it cannot be done."""
    try:
        found = act()
    except DiskError as error:
        return str(error)
    return found.message if isinstance(found, Report) else ""


def put_link(place: Path, target: Path) -> None:
    """Let a link stand at a place, whatever is there."""
    shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target)


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A folder of the user's."""
    folder = tmp_path / "victim"
    folder.mkdir()
    with sqlite3.connect(folder / "zotero.sqlite") as database:
        database.execute("CREATE TABLE asset (title)")
        database.execute("CREATE TABLE items (title)")
        database.execute("INSERT INTO items VALUES ('mine')")
    database.close()
    (folder / "bashrc").write_text("export MINE=1\n")
    return folder


@pytest.mark.parametrize("target", ["bashrc", "zotero.sqlite", "not-there"])
def test_a_link_in_place_of_a_file_of_ours_is_never_followed(
    target: str, archive: Archive, mirror: MirrorOfTest, victim: Path
) -> None:
    fill(archive, mirror)
    before = snapshot(victim)
    for place in (mirror.path / name for name in FILES):
        put_link(place, victim / target)
        words = said(lambda: mirror.sync(mode="force"))
        assert snapshot(victim) == before, place
        # it is named; or what was there was never more than a memory, and a file of ours is in its place
        named = f"{place} is a link" in words and f"mv {place} {place}.away" in words
        assert named or (not words and not place.is_symlink()), words
        place.unlink(missing_ok=True)


def test_a_link_in_place_of_a_folder_of_ours_is_never_followed(
    archive: Archive, mirror: MirrorOfTest, victim: Path
) -> None:
    fill(archive, mirror)
    before = snapshot(victim)
    for place in (mirror.path / name for name in FOLDERS):
        put_link(place, victim)
        words = [
            said(lambda: mirror.sync(mode="force")),
            said(lambda: mirror.sync(mode="force", dry_run=True)),
            said(lambda: words_of_metrics(Mirror(mirror.path))),
            said(lambda: update_index(Mirror(mirror.path), lambda dandiset, doing: None)),
            said(lambda: list(past_runs(Mirror(mirror.path).own / "log"))),
        ]
        assert snapshot(victim) == before, place
        assert any(f"{place} is a link" in word for word in words), words
        assert not any("unexpected" in word for word in words)
        place.unlink()


def test_a_search_leaves_the_database_alone_that_a_link_leads_to(
    archive: Archive, mirror: MirrorOfTest, victim: Path
) -> None:
    fill(archive, mirror)
    before = snapshot(victim)
    put_link(mirror.path / ".dandi-mirror" / "search.sqlite", victim / "zotero.sqlite")
    done = run("dandi-mirror", "search", "hippocampus", "-d", str(mirror.path), code=6)
    assert snapshot(victim) == before
    assert "search.sqlite is a link" in done.stderr


@pytest.mark.parametrize("name", ["search.sqlite", "index.sqlite", "known/000123.sqlite"])
def test_a_database_of_something_else_in_place_of_ours_is_named_and_never_emptied(
    name: str, archive: Archive, mirror: MirrorOfTest, victim: Path
) -> None:
    fill(archive, mirror)
    place = mirror.path / ".dandi-mirror" / name
    shutil.copyfile(victim / "zotero.sqlite", place)
    if name == "search.sqlite":
        words = said(lambda: update_index(Mirror(mirror.path), lambda dandiset, doing: None))
    else:
        words = said(lambda: mirror.sync(mode="force"))
    assert place.read_bytes() == (victim / "zotero.sqlite").read_bytes()
    assert f"{place} is a database of something else (it has a table '" in words


def test_a_spoilt_index_is_set_aside_not_deleted(archive: Archive, mirror: MirrorOfTest) -> None:
    fill(archive, mirror)
    place = mirror.path / ".dandi-mirror" / "index.sqlite"
    place.write_bytes(b"what somebody has put here by mistake" * 50)
    assert mirror.sync().status == "ok"
    assert place.with_name("index.sqlite.spoilt").read_bytes().startswith(b"what somebody")
    assert place.read_bytes().startswith(b"SQLite format 3")


def test_a_file_called_as_our_folder_is_named(archive: Archive, mirror: MirrorOfTest) -> None:
    fill(archive, mirror)
    shutil.rmtree(mirror.path / ".dandi-mirror")
    (mirror.path / ".dandi-mirror").write_text("notes")
    done = mirror.cli("sync", "000123", code=6)
    assert f"{mirror.path}/.dandi-mirror is a file, and dandi-mirror keeps one of its own folders there" in done.stderr
    assert (mirror.path / ".dandi-mirror").read_text() == "notes"


def test_a_repair_makes_nothing_anew_where_a_link_leads(archive: Archive, mirror: MirrorOfTest, victim: Path) -> None:
    fill(archive, mirror)
    temporary = mirror.path / ".dandi-mirror" / "tmp"
    (victim / "repair-000123").mkdir()
    (victim / "repair-000123" / "mine.txt").write_text("mine")
    put_link(temporary, victim)
    (mirror.path / "000123" / ".git" / "refs" / "heads" / "draft").write_text("1" * 40)
    before = snapshot(victim)
    done = run("dandi-mirror", "verify", "--repair", "000123", "-d", str(mirror.path), code=7)
    assert f"{temporary} is a link" in done.stdout + done.stderr
    assert snapshot(victim) == before


def test_a_pipe_in_place_of_a_lock_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.lock")
    with pytest.raises(DiskError, match="is a special file"), lock.hold(tmp_path / "x.lock", "x"):
        pass


def test_a_link_beside_is_not_written_through_when_a_file_is_replaced(tmp_path: Path, victim: Path) -> None:
    before = snapshot(victim)
    own = OwnPath(tmp_path, ("own", "seen.json"))
    own.replace(b"one")
    (tmp_path / "own" / f".seen.json.{os.getpid()}").symlink_to(victim / "bashrc")
    own.replace(b"two")
    assert (own.read(), snapshot(victim)) == (b"two", before)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_another_users_file_is_refused_unless_a_group_shares_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir(mode=0o755)
    (folder / "x.lock").write_text("")
    os.chown(tmp_path, 4711, 4711)
    os.chown(folder, 0, 4711)
    os.chown(folder / "x.lock", 4712, 4711)
    own = OwnPath(tmp_path, ("own", "x.lock"))
    with pytest.raises(NotOurs, match=r"belongs to another user \(number 4712\)"):
        own.read()
    folder.chmod(0o2775)
    assert own.read() == b"", "its owner lets the group write"
    folder.chmod(0o1777)
    with pytest.raises(NotOurs, match="another user"):
        own.read()


def modes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.rglob("*")]}


@pytest.mark.parametrize(("shared", "umask"), [("group", 0o022), ("all", 0o022), ("0660", 0o077), ("", 0o002)])
def test_what_we_write_is_for_the_group_where_git_shares_the_repository(
    shared: str, umask: int, archive: Archive, mirror: MirrorOfTest
) -> None:
    if shared:
        run("git", "config", "--global", "core.sharedRepository", shared)
    before = os.umask(umask)
    try:
        fill(archive, mirror)
        mirror.sync()
        update_index(Mirror(mirror.path), lambda dandiset, doing: None)
    finally:
        os.umask(before)
    found = modes(mirror.path / ".dandi-mirror")
    assert {name for name, mode in found.items() if mode & 0o060 != 0o060} == set()
    others = {"group": 0o4, "all": 0o4, "0660": 0, "": 0o4}[shared]
    assert {name for name, mode in found.items() if mode & 0o4 != others or mode & 0o2} == set()
    assert stat.S_IMODE((mirror.path / "000123/.git/dandi-mirror-sync.json").stat().st_mode) & 0o060 == 0o060
    assert {"index.sqlite", "search.sqlite", "known/000123.sqlite", "locks/000123.lock"} <= found.keys()


def test_what_we_write_is_ours_alone_where_nobody_shares(archive: Archive, mirror: MirrorOfTest) -> None:
    before = os.umask(0o077)
    try:
        fill(archive, mirror)
    finally:
        os.umask(before)
    assert {name for name, mode in modes(mirror.path / ".dandi-mirror").items() if mode & 0o077} == set()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
@pytest.mark.parametrize("shared", ["group", ""])
def test_two_operators_of_one_group_write_by_turns(shared: str, tmp_path: Path) -> None:
    if shared:
        run("git", "config", "--global", "core.sharedRepository", shared)
    mirror = Mirror(tmp_path / "mirror")
    mirror.path.mkdir()
    for folder in (mirror.path, *mirror.path.parents):
        folder.chmod(folder.stat().st_mode | 0o005)
    os.chown(mirror.path, 4711, 4700)
    mirror.path.chmod(0o2775)
    mirror.make_own()  # git may not be there for everybody
    for path in [mirror.own.path]:
        os.chown(path, 4711, 4700)
        path.chmod(0o2775)
    facts = RememberedDandiset("", "all", "b", "h", ())

    def write() -> None:
        with mirror.lock("000123"):
            mirror.index.put("000123", facts)
            mirror.asset_cache("000123").store("state", {}, {}, 0.0, 2)
            (mirror.own / "log" / "seen.json").replace(b"{}")
            (mirror.own / "log" / "log.jsonl").append(b"{}")

    assert [as_user(user, 4700, write) for user in (4711, 4712, 4711)] == [0, 0, 0]


def as_user(user: int, group: int, act: Callable[[], None]) -> int:
    """How something ends that another user does, with umask 002."""
    child = os.fork()
    if child == 0:
        code = 0
        try:
            os.setgroups([])
            os.setgid(group)
            os.setuid(user)
            os.umask(0o002)
            act()
        except BaseException as error:
            os.write(2, f"{user}: {error!r}\n".encode())
            code = 99
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_mirror_alone_keeps_its_own_in_its_git_folder(archive: Archive, mirror: MirrorOfTest, victim: Path) -> None:
    fill(archive, mirror)
    clone = Mirror(mirror.path / "000123", alone="000123")
    before = snapshot(victim)
    (mirror.path / "000123" / ".git" / "dandi-mirror").symlink_to(victim)
    with pytest.raises(NotOurs, match="is a link"), clone.lock("000123"):
        pass
    assert snapshot(victim) == before


def test_a_list_of_members_that_is_a_link_to_a_device_is_not_read(archive: Archive, mirror: MirrorOfTest) -> None:
    fill(archive, mirror)
    modules = mirror.path / ".gitmodules"
    modules.unlink()
    modules.symlink_to("/dev/zero")
    # without an end to what may be read, it would take all memory that there is
    command = f"ulimit -v 1500000; exec {sys.executable} -m dandi_mirror ls ."
    done = run("bash", "-c", command, cwd=mirror.path)
    assert "000123" in done.stdout and "MemoryError" not in done.stderr
