"""Content that need not be sent."""

from __future__ import annotations

from dandi_mirror.embedded import Archive, Dandiset
from tests.conftest import MirrorOfTest, run
from tests.support.uploading import FIRST, SECOND, THIRD, Person, paths


def test_content_that_the_archive_has_goes_up_without_its_bytes_here(
    elsewhere: Person, mine: Dandiset, archive: Archive
) -> None:
    copied, moved = elsewhere.folder / "copied.nwb", elsewhere.folder / "moved.nwb"
    copied.symlink_to((elsewhere.folder / FIRST).readlink().as_posix().removeprefix("../"))
    moved.symlink_to((elsewhere.folder / SECOND).readlink().as_posix().removeprefix("../"))
    (elsewhere.folder / SECOND).unlink()
    assert not copied.exists()
    done = elsewhere.upload()
    assert done.steps == {"copied.nwb": "add", "moved.nwb": "rename"}
    assert (done.failures, done.sent) == ({}, 0)
    assert paths(mine) == ["copied.nwb", "moved.nwb", FIRST, THIRD]
    asset = mine.draft.asset_at("copied.nwb")
    assert asset and asset.metadata["wasAttributedTo"][0]["identifier"] == "m0"
    assert [request.path for request in elsewhere.writes() if "uploads" in request.path] == []
    assert elsewhere.git("status", "--porcelain") == ""


def test_what_others_deleted_comes_back_without_its_bytes_here(
    elsewhere: Person, mine: Dandiset, archive: Archive, mirror: MirrorOfTest
) -> None:
    mine.publish("0.240101.0000")
    mirror.sync()
    elsewhere.git("pull", "-q", "--tags", "origin", "draft")
    known = mine.draft.asset_at(FIRST)
    for path in (FIRST, SECOND):
        mine.delete_asset(path)
    elsewhere.upload(update=True)
    assert not (elsewhere.folder / FIRST).is_symlink()
    elsewhere.git("checkout", "0.240101.0000", "--", FIRST)
    elsewhere.git("checkout", "HEAD~1", "--", SECOND)
    elsewhere.server.requests.clear()
    done = elsewhere.upload()
    assert done.steps == {FIRST: "add", SECOND: "add"}
    assert (done.failures, done.sent) == ({}, 0)
    asset = mine.draft.asset_at(FIRST)
    assert asset and known and asset.metadata["wasAttributedTo"] == known.metadata["wasAttributedTo"]
    assert [request.path for request in elsewhere.writes() if "uploads" in request.path] == []
    assert elsewhere.git("status", "--porcelain") == ""


def test_content_that_neither_side_has_is_named_with_what_to_do(elsewhere: Person, mine: Dandiset) -> None:
    key = f"SHA256E-s5--{'a' * 64}.nwb"
    (elsewhere.folder / "nowhere.nwb").symlink_to(f".git/annex/objects/xx/yy/{key}/{key}")
    elsewhere.write("fine.dat", b"fine")
    done = elsewhere.upload()
    assert list(done.failures) == ["nowhere.nwb"]
    assert "dandi-mirror get nowhere.nwb" in done.failures["nowhere.nwb"]
    assert "fine.dat" in paths(mine)
    assert elsewhere.git("status", "--porcelain") == "?? nowhere.nwb"


def test_a_swap_and_a_rename_over_another_file_send_nothing(me: Person, mine: Dandiset) -> None:
    for path in (FIRST, SECOND, THIRD):
        run("git", "annex", "get", path, cwd=me.folder)
    before = {path: (me.folder / path).read_bytes() for path in (FIRST, SECOND, THIRD)}
    (me.folder / FIRST).rename(me.folder / "aside")
    (me.folder / SECOND).rename(me.folder / FIRST)
    (me.folder / "aside").rename(me.folder / SECOND)
    done = me.upload()
    assert (done.steps, done.sent) == ({FIRST: "replace", SECOND: "replace"}, 0)
    (me.folder / FIRST).rename(me.folder / THIRD)
    done = me.upload()
    assert (done.steps, done.sent, done.failures) == ({FIRST: "delete", THIRD: "replace"}, 0, {})
    found = {asset.path: asset.blob.read() for asset in mine.draft if asset.blob}
    assert found == {SECOND: before[FIRST], THIRD: before[SECOND]}
    assert me.git("status", "--porcelain") == ""


def test_files_that_were_copied_over_their_links_become_links_again(me: Person, mirror: MirrorOfTest) -> None:
    before = me.git("rev-parse", "draft")
    (me.folder / FIRST).unlink()
    me.write(FIRST, b"content 0")
    (me.folder / SECOND).unlink()
    # by a key of another name
    key = mirror.keys()[SECOND].replace(".nwb", ".h5")
    (me.folder / SECOND).symlink_to(f"../.git/annex/objects/xx/yy/{key}/{key}")
    me.git("add", SECOND)
    done = me.upload()
    assert (done.steps, me.writes()) == ({}, [])
    assert (me.folder / FIRST).read_bytes() == b"content 0"
    assert me.git("status", "--porcelain") == ""
    assert me.git("rev-parse", "draft") == before
