"""Upload from the mirror's dataset and from a clone: what goes up, and that everything stands as a sync makes it."""

from __future__ import annotations

import json

import pytest

from dandi_mirror.embedded import Archive, Dandiset
from dandi_mirror.errors import CredentialsError, LockedError, PartError, UnsafePlan, UsageError
from dandi_mirror.model import Kind
from dandi_mirror.upload.read.worker import Worker
from tests.conftest import MirrorOfTest, run
from tests.support.credentials import TOKEN
from tests.support.dandisets import kinds
from tests.support.uploading import FIRST, SECOND, THIRD, Person, elsewhere, me, mine, paths, token

__all__ = ["elsewhere", "me", "mine", "token"]


# --- the whole way ------------------------------------------------------------------------------------------


def test_what_is_put_into_the_mirrors_dataset_goes_up_and_a_sync_has_nothing_to_do(
    mine: Dandiset, mirror: MirrorOfTest, token: dict[str, str]
) -> None:
    mirror.sync()
    folder = mirror.path / "000123"
    (folder / "sub-9").mkdir()
    (folder / "sub-9" / "sub-9_data.dat").write_bytes(b"new content" * 100)
    (folder / "README").write_text("words\n")
    (folder / ".DS_Store").write_bytes(b"junk")
    (folder / FIRST).unlink()
    options = ["-i", mirror.server.api_url, "--validation", "skip", "--include", "README", "--include", "sub-9"]
    done = run("dandi-mirror", "upload", *options, cwd=folder, env=token)
    assert done.stdout.splitlines() == [
        "     add    6 bytes  README",
        "     add     1.1 kB  sub-9/sub-9_data.dat",
        f"    kept    9 bytes  {FIRST}",
        "2 to add, 1 gone here, and kept there (--sync deletes); 2 unchanged",
        "added 2; sent 1.1 kB",
        "000123  5 files, 1.1 kB  +2",
    ]
    assert done.stderr == (
        "left out: 1 hidden file or leftover of programs, as .DS_Store (--include PATTERN sends such)\n"
    )
    assert mirror.git("status", "--porcelain") == f"D {FIRST}\n?? .DS_Store"
    mirror.git("restore", FIRST)
    assert mirror.asset_paths() == paths(mine)
    head = mirror.refs()["refs/heads/draft"]
    assert mirror.sync().status == "notneeded"
    assert mirror.sync(mode="force").status == "notneeded"
    assert mirror.refs()["refs/heads/draft"] == head
    key = mirror.keys()["sub-9/sub-9_data.dat"]
    assert len(mirror.urls(key)) == 2
    # git-annex itself asks the archive whether it has it
    run("git", "annex", "drop", "sub-9", cwd=folder)
    run("git", "annex", "get", "sub-9", cwd=folder)
    assert (folder / "sub-9" / "sub-9_data.dat").read_bytes() == b"new content" * 100


def test_a_file_that_went_up_is_present_as_git_annex_add_leaves_it(me: Person, mine: Dandiset) -> None:
    for name in ("new.dat", "same.dat"):
        me.write(f"sub-9/{name}", b"new content" * 100_000)
    assert not me.upload().failures
    link = me.folder / "sub-9" / "new.dat"
    assert link.is_symlink() and link.resolve().stat().st_mode & 0o222 == 0
    assert link.resolve().stat().st_nlink == 1
    assert not list((me.folder / ".git" / "annex" / "othertmp").glob("*"))
    run("git", "annex", "fsck", "--quiet", "sub-9", cwd=me.folder)
    assert " here\n" in run("git", "annex", "whereis", "sub-9/new.dat", cwd=me.folder).stdout
    run("git", "annex", "drop", "sub-9/same.dat", cwd=me.folder)  # the archive has it


def test_a_folder_takes_the_place_of_a_file(me: Person, mine: Dandiset) -> None:
    (me.folder / FIRST).unlink()
    me.write(f"{FIRST}/inside.dat", b"new content" * 1000)
    assert not me.upload(sync=True).failures
    assert f"{FIRST}/inside.dat" in paths(mine)
    assert FIRST not in paths(mine)
    assert run("git", "status", "--porcelain", cwd=me.folder).stdout == ""


@pytest.mark.parametrize("staged", [False, True])
@pytest.mark.parametrize("size", [3, 300_000])
def test_a_file_takes_the_place_of_a_folder(me: Person, mine: Dandiset, size: int, staged: bool) -> None:
    run("rm", "-r", str(me.folder / "sub-0"))
    me.write("sub-0", b"new" * size)
    if staged:
        run("git", "annex", "add", "--quiet", ".", cwd=me.folder)
    done = me.upload(sync=True)
    assert not done.failures
    assert done.result.report and not done.result.report.findings
    assert paths(mine) == ["sub-0", SECOND, THIRD]
    assert me.git("status", "--porcelain") == ""
    assert me.git("ls-files", "sub-0") == "sub-0"
    assert (me.folder / "sub-0").read_bytes() == b"new" * size


def test_a_link_without_content_takes_the_place_of_a_folder(elsewhere: Person, mine: Dandiset) -> None:
    elsewhere.git("mv", SECOND, "moved.nwb")
    run("rm", "-r", str(elsewhere.folder / "sub-0"))
    elsewhere.git("mv", "moved.nwb", "sub-0")
    done = elsewhere.upload(sync=True, allow_deletes=True)
    assert done.steps == {"sub-0": "add", FIRST: "delete", SECOND: "delete"}
    assert done.result.report and not done.result.report.findings
    assert paths(mine) == ["sub-0", THIRD]
    assert elsewhere.git("status", "--porcelain") == ""


def test_from_a_new_dandiset_to_a_tag_in_the_mirror(
    archive: Archive, mirror: MirrorOfTest, worker: Worker, token: dict[str, str]
) -> None:
    archive.add_user("me@example.org", TOKEN, name="Olive Owner")
    told = mirror.cli("create", "--name", "A new one", "--license", "CC-BY-4.0", "--description", "Words.", env=token)
    dandiset = told.stdout.split()[0]
    me = Person(mirror.path / dandiset, mirror.server, worker, dandiset)
    me.write("sub-1/sub-1_data.dat", b"bytes")
    assert me.upload().failures == {}
    assert mirror.cli("sync", dandiset).stdout == ""
    done = mirror.cli("publish", dandiset, "--yes", env=token)
    (version,) = [published.version for published in archive.dandisets[dandiset].published]
    assert done.stdout.startswith(f"{dandiset}@{version} is published and mirrored\n")
    assert "Owner, Olive" in done.stdout
    assert f"refs/tags/{version}" in mirror.refs(dandiset)
    assert mirror.cli("sync", dandiset).stdout == ""
    assert "nothing has changed" in mirror.cli("publish", dandiset, "--yes", env=token, code=3).stderr


def test_what_is_done_in_a_clone_is_what_the_mirror_then_makes(
    mine: Dandiset, mirror: MirrorOfTest, elsewhere: Person
) -> None:
    elsewhere.git("mv", "sub-0", "sub-8")
    elsewhere.write("new.dat", b"new" * 1000)
    run("datalad", "save", "-m", "mine", cwd=elsewhere.folder)
    mine_was = elsewhere.git("rev-parse", "HEAD")
    elsewhere.git("rm", "-q", SECOND)
    done = elsewhere.upload(sync=True)
    assert done.failures == {}
    assert done.steps == {"new.dat": "add", "sub-8/sub-0_ses-1_ecephys.nwb": "rename", SECOND: "delete"}
    assert elsewhere.git("status", "--porcelain") == ""
    assert paths(mine) == ["new.dat", THIRD, "sub-8/sub-0_ses-1_ecephys.nwb"]
    assert elsewhere.git("rev-parse", done.result.kept) == mine_was
    assert elsewhere.git("log", "--format=%ae", "-1", "draft") == "noreply@dandi-mirror.invalid"
    mirror.sync()
    assert mirror.refs()["refs/heads/draft"] == elsewhere.git("rev-parse", "draft")
    elsewhere.server.requests.clear()
    again = elsewhere.upload(sync=True)
    assert (again.steps, again.result.report) == ({}, None)
    assert elsewhere.writes() == []
    run("datalad", "drop", "new.dat", cwd=elsewhere.folder)


def test_a_dry_run_says_it_all_and_sends_and_writes_nothing(me: Person, token: dict[str, str]) -> None:
    me.write("new.dat", b"new")
    me.write("empty.dat", b"")
    me.git("mv", FIRST, "elsewhere.nwb")
    before = me.git("for-each-ref"), me.git("status", "--porcelain"), sorted(me.folder.rglob(".git/*"))
    where = ["-i", me.server.api_url, "-f", "json"]
    done = run("dandi-mirror", "upload", "--dry-run", "--include", "*.dat", *where, cwd=me.folder, env=token, code=3)
    *steps, refused, summary = map(json.loads, done.stdout.splitlines())
    assert [(step["action"], step["do"], step["file"], step["from"]) for step in steps] == [
        ("plan", "rename", "elsewhere.nwb", FIRST),
        ("plan", "refused", "empty.dat", ""),
        ("plan", "add", "new.dat", ""),
    ]
    assert (refused["file"], refused["status"], refused["exit_code"]) == ("empty.dat", "impossible", 3)
    assert "empty" in refused["message"]
    assert (summary["action"], summary["exit_code"]) == ("summary", 3)
    assert me.writes() == []
    assert (me.git("for-each-ref"), me.git("status", "--porcelain"), sorted(me.folder.rglob(".git/*"))) == before


def test_paths_choose_what_goes_up(me: Person, mine: Dandiset) -> None:
    me.write("a/1.dat", b"1")
    me.write("b/2.dat", b"2")
    me.write("b/.hidden.dat", b"3")
    assert me.upload(paths=("a",)).steps == {"a/1.dat": "add"}
    assert "b/2.dat" not in paths(mine)
    assert me.git("status", "--porcelain") == "?? b/"
    assert me.upload(paths=("b/2.dat", "b/.hidden.dat")).steps == {"b/.hidden.dat": "add", "b/2.dat": "add"}
    assert me.git("status", "--porcelain") == ""


# --- content that need not be sent --------------------------------------------------------------------------


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


# --- what is refused ----------------------------------------------------------------------------------------


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
    with pytest.raises(UsageError, match="checkout draft"):
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


# --- others at work -----------------------------------------------------------------------------------------


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


# --- checksums that come late -------------------------------------------------------------------------------


def test_what_has_no_sha256_yet_is_pending_and_a_later_sync_completes_it(
    me: Person, mine: Dandiset, archive: Archive, mirror: MirrorOfTest
) -> None:
    archive.jobs.delay = None
    me.write("new.dat", b"new" * 100)
    done = me.upload(wait=0.3)
    report = done.result.report
    assert report and kinds(report) == [(Kind.PENDING, "new.dat")]
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
