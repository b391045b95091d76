"""What upload refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive, Dandiset
from dandi_mirror.errors import CredentialsError, LockedError, UnsafePlan, UsageError
from tests.conftest import MirrorOfTest, run
from tests.support.uploading import FIRST, SECOND, THIRD, Person, paths


def test_what_cannot_be_an_asset_is_named_and_the_rest_goes_up(me: Person, mine: Dandiset) -> None:
    me.write("empty.dat", b"")
    me.write("é.dat", b"x")
    me.write("git~1/x.dat", b"x")
    me.write("fine.dat", b"x")
    (me.folder / "link.dat").symlink_to("/etc/hostname")
    (me.folder / FIRST).unlink()
    me.write(f"{FIRST}/inside.dat", b"x")
    run("git", "init", "-q", str(me.folder / "other"))
    run("git", "-C", str(me.folder / "other"), "commit", "-q", "--allow-empty", "-m", "x")
    done = me.upload()
    assert {path: reason.partition(";")[0] for path, reason in done.failures.items()} == {
        "empty.dat": "it is empty, and the archive does not accept empty files",
        "é.dat": "the archive does not accept é in a path",
        "git~1/x.dat": "the name git~1 is git's own",
        "link.dat": "it is a link to /etc/hostname",
        "other": "it is a repository of its own",
        f"{FIRST}/inside.dat": "a file of the same name stands where its folder would be",
    }
    assert paths(mine) == ["fine.dat", FIRST, SECOND, THIRD]
    assert (me.folder / f"{FIRST}/inside.dat").read_bytes() == b"x"


def test_files_that_are_deleted_here_stay_there_without_sync_and_most_of_them_with_it(
    me: Person, mine: Dandiset, archive: Archive, mirror: MirrorOfTest
) -> None:
    for number in range(30):
        mine.add_asset(f"many/{number}.dat", archive.add_blob(b"%d" % number))
    mirror.sync()
    me.server.requests.clear()
    run("rm", "-r", str(me.folder / "many"))
    assert set(me.upload().steps.values()) == {"kept"}
    with pytest.raises(UnsafePlan, match=r"30 of 33 files.*many/0.dat, .* and 25 more.*--allow-deletes"):
        me.upload(sync=True)
    assert me.writes() == []
    assert me.upload(sync=True, allow_deletes=True).failures == {}
    assert paths(mine) == [FIRST, SECOND, THIRD]
    assert me.git("status", "--porcelain") == ""


def test_nothing_is_deleted_when_something_failed(me: Person, mine: Dandiset) -> None:
    (me.folder / FIRST).unlink()
    me.write("broken.nwb", b"no NWB file at all")
    done = me.upload(sync=True)
    assert set(done.failures) == {"broken.nwb", FIRST}
    assert "left for the next run" in done.failures[FIRST]
    assert FIRST in paths(mine)


def test_a_work_tree_that_is_not_on_the_draft_is_refused(me: Person, mine: Dandiset, token: dict[str, str]) -> None:
    me.git("checkout", "-q", "-b", "another")
    with pytest.raises(UsageError, match=r"switch draft && git -C .* merge another"):
        me.upload()
    done = run("dandi-mirror", "upload", "-i", me.server.api_url, cwd=me.folder.parent.parent, env=token, code=2)
    assert "is not in a clone of a Dandiset" in done.stderr


@pytest.mark.quick
def test_two_uploads_from_one_folder_do_not_meet(me: Person) -> None:
    from dandi_mirror.mirror.state.layout import mirror_of
    from dandi_mirror.repo.git import lock

    held = lock.hold(mirror_of(me.folder, "000123").own / "locks" / "000123.upload.lock", "x")
    with held, pytest.raises(LockedError):
        me.upload()


def test_without_a_key_or_with_another_persons_nothing_changes(me: Person, mine: Dandiset) -> None:
    me.write("new.dat", b"new")
    done = run("dandi-mirror", "upload", "-i", me.server.api_url, cwd=me.folder, code=4)
    assert "dandi-mirror login" in done.stderr
    with pytest.raises(CredentialsError):
        me.upload(token="f" * 40)
    assert paths(mine) == [FIRST, SECOND, THIRD]
    assert me.git("status", "--porcelain") == "?? new.dat"


def test_from_a_branch_of_ones_own_the_message_says_how_its_commits_go_up(
    me: Person, mine: Dandiset, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    place = tmp_path / "my work"
    run("datalad", "clone", str(me.folder), str(place))
    mine_too = replace(me, folder=place)
    run("git", "switch", "-q", "-c", "my-edits", cwd=place)
    mine_too.write("mine.dat", b"mine")
    run("datalad", "save", "-m", "mine", cwd=place)
    with pytest.raises(
        UsageError, match="its branch my-edits checked out, and upload sends what is on draft: "
    ) as told:
        mine_too.upload()
    run("sh", "-c", str(told.value).partition("on draft: ")[2])
    assert set(mine_too.upload().steps) == {"mine.dat"}
    run("git", "checkout", "-q", "--detach", cwd=place)
    with pytest.raises(UsageError, match=rf"a version checked out, .*: git -C '{place}' switch draft$"):
        mine_too.upload()
