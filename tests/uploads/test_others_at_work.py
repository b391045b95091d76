"""Others change the draft meanwhile; checksums come late."""

from __future__ import annotations

import pytest

from dandi_mirror.embedded import Archive, Dandiset
from dandi_mirror.errors import PartError
from dandi_mirror.model import FindingKind
from tests.conftest import MirrorOfTest, run
from tests.support.dandisets import kinds
from tests.support.uploading import FIRST, THIRD, Person, paths


@pytest.mark.quick
def test_behind_the_archive_nothing_is_sent_and_what_is_said_to_type_helps(
    me: Person, mine: Dandiset, archive: Archive, mirror: MirrorOfTest, token: dict[str, str]
) -> None:
    me.write("new.dat", b"new")
    run("datalad", "save", "-m", "mine", cwd=me.folder)
    mine.replace_asset(THIRD, archive.add_blob(b"theirs"))
    mine.add_asset("theirs.dat", archive.add_blob(b"x"))
    me.server.requests.clear()
    with pytest.raises(PartError, match=r"another file there.*theirs.dat \(new there\)") as refused:
        me.upload()
    assert me.writes() == []
    assert str(refused.value).endswith("bring that here first: dandi-mirror upload --update")
    where = ["-i", mirror.server.api_url, "--validation", "skip"]
    done = run("dandi-mirror", "upload", "--update", "nothing", *where, cwd=me.folder, env=token, code=3)
    assert done.stdout.startswith("000123  4 files, 25 bytes  +1 ~1\n")
    assert "kept on the branch uploaded/" in done.stderr
    assert me.git("ls-files", "--", "theirs.dat") == "theirs.dat"
    assert me.upload().steps == {"new.dat": "add"}
    assert me.git("status", "--porcelain") == ""
    assert "new.dat" in paths(mine)


def test_a_clone_that_is_behind_takes_in_what_others_did_by_itself_or_from_its_mirror(
    elsewhere: Person, mine: Dandiset, archive: Archive, mirror: MirrorOfTest
) -> None:
    elsewhere.write("new.dat", b"new")
    run("datalad", "save", "-m", "mine", cwd=elsewhere.folder)
    mine.delete_asset(THIRD)
    with pytest.raises(PartError, match=r"deleted there"):
        elsewhere.upload()
    mirror.sync()
    run("git", "pull", "-q", "--no-rebase", "--no-edit", cwd=elsewhere.folder)
    assert elsewhere.upload().steps == {"new.dat": "add"}
    # the mirror has not seen that yet, when somebody else is at work
    mine.add_asset("theirs.dat", archive.add_blob(b"x"))
    elsewhere.write("more.dat", b"more")
    assert elsewhere.upload(update=True).steps == {"more.dat": "add"}
    assert elsewhere.git("status", "--porcelain") == ""
    assert (elsewhere.folder / "theirs.dat").is_symlink()
    mirror.sync()
    assert mirror.git("rev-parse", "draft^{tree}") == elsewhere.git("rev-parse", "draft^{tree}")
    run("git", "pull", "-q", "--no-rebase", "--no-edit", cwd=elsewhere.folder)
    assert elsewhere.upload().steps == {}


def test_who_did_the_same_meanwhile_is_no_conflict(me: Person, mine: Dandiset, archive: Archive) -> None:
    me.write("new.dat", b"new")
    mine.add_asset("new.dat", archive.add_blob(b"new"))
    mine.delete_asset(THIRD)
    (me.folder / THIRD).unlink()
    done = me.upload(sync=True)
    assert (done.steps, done.failures) == ({"new.dat": "done"}, {})
    assert me.git("status", "--porcelain") == ""
    assert [request.method for request in me.writes()] == []


def test_what_has_no_sha256_yet_is_pending_and_a_later_sync_completes_it(
    me: Person, mine: Dandiset, archive: Archive, mirror: MirrorOfTest
) -> None:
    archive.jobs.delay = None
    me.write("new.dat", b"new" * 100)
    done = me.upload(wait=0.3)
    report = done.result.report
    assert report and kinds(report) == [(FindingKind.PENDING, "new.dat")]
    assert report.exit_code == 3
    assert (me.folder / "new.dat").is_symlink()
    again = me.upload(wait=0.0)
    assert (again.steps, again.sent, again.failures) == ({"new.dat": "done"}, 0, {})
    archive.jobs.settle()
    assert mirror.sync().exit_code == 0
    assert me.git("status", "--porcelain") == ""
    assert mirror.asset_paths() == paths(mine)
    assert me.upload().steps == {}


def test_what_is_named_and_cannot_go_up_is_never_passed_over_in_silence(me: Person, token: dict[str, str]) -> None:
    (me.folder / ".git/info/exclude").write_text("*.dat\n")
    me.write("a.dat", b"a")
    me.write("sub-0/b.dat", b"b")
    (me.folder / "empty").mkdir()

    def upload(*names: str, code: int) -> str:
        where = [str(me.folder / name) for name in names]
        done = run("dandi-mirror", "upload", *where, "-i", me.server.api_url, env=token, code=code)
        return done.stdout + done.stderr

    assert "a.dat: git ignores it, by the rule '*.dat' in line 1 of .git/info/exclude" in upload("a.dat", code=3)
    assert "sub-0/typo.nwb: there is no such file, neither here nor in the arch" in upload("sub-0/typo.nwb", code=3)
    assert "dandiset.yaml: it is one of the dataset's own files" in upload("dandiset.yaml", code=3)
    assert "empty: there is no file in it" in upload("empty", code=3)
    assert upload(FIRST, code=0).startswith("nothing to send: the archive has all of it\n")
    for names in ((), ("sub-0",)):
        assert "left out, because git ignores them: a.dat, sub-0/b.dat" in upload(*names or (".",), code=0)
    assert me.writes() == []


def test_a_file_goes_up_beside_an_edited_record_and_everything_but_the_record_is_as_a_sync_makes_it(
    elsewhere: Person, mine: Dandiset
) -> None:
    record = elsewhere.folder / "dandiset.yaml"
    edited = record.read_text().replace("}", ', "name": "another name"}', 1)
    record.unlink()
    record.write_text(edited)
    (elsewhere.folder / "new.dat").write_bytes(b"new")
    mine.set_metadata({"name": "a name that the archive has got meanwhile"})
    done = elsewhere.upload()
    report = done.result.report
    assert report and kinds(report) == [(FindingKind.WORKTREE, "dandiset.yaml")]
    assert elsewhere.git("status", "--porcelain") == "M dandiset.yaml"
    assert elsewhere.git("rev-parse", "HEAD") == report.commit
    assert (elsewhere.folder / "new.dat").is_symlink() and record.read_text() == edited
    command = report.findings[0].reason.rpartition("take it back: ")[2]
    run(*command.split())
    assert "a name that the archive has got meanwhile" in record.read_text()
    assert elsewhere.git("status", "--porcelain") == ""
    assert elsewhere.upload().steps == {}


def test_an_upload_after_a_sync_that_an_edit_kept_from_the_work_tree_says_how_to_go_on_and_that_works(
    me: Person, mine: Dandiset, archive: Archive, mirror: MirrorOfTest
) -> None:
    mine.add_asset("README", archive.add_blob(b"words\n"))
    mirror.sync()
    (me.folder / "README").write_text("my words\n")
    mine.replace_asset("README", archive.add_blob(b"their words\n"))
    assert kinds(mirror.sync()) == [(FindingKind.WORKTREE, "")]
    advice = "edits are in the way; move the edited files away, run dandi-mirror upload --update, and put them back"
    with pytest.raises(PartError, match=advice):
        me.upload()
    (me.folder / "README").rename(me.folder.parent / "README")
    me.upload(update=True)
    (me.folder.parent / "README").rename(me.folder / "README")
    assert me.git("status", "--porcelain") == "M README"
    assert me.upload().steps == {"README": "replace"}
    assert me.git("status", "--porcelain") == ""
