"""Which versions hold some bytes, and at which paths."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest

from dandi_mirror.embedded import Archive
from dandi_mirror.errors import MirrorError, UsageError
from dandi_mirror.mirror.search.which import identify, occurrences
from dandi_mirror.mirror.state.layout import Mirror
from tests.conftest import MirrorOfTest, run
from tests.support.searching import TAG, ask

ONE = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
PLACES = f"000123  sub-a/sub-a_ses-1_ecephys.nwb  (3 bytes)  {TAG} draft\n000200  sub-P1/copy.nwb  (3 bytes)  draft\n"


def test_which_takes_a_file_a_digest_a_key_an_asset_and_a_blob(asked: MirrorOfTest, tmp_path: Path) -> None:
    (tmp_path / "mine.bin").write_bytes(b"one")
    link = asked.path / "000123" / "sub-a" / "sub-a_ses-1_ecephys.nwb"
    assert not link.exists(), "its content is not here"
    pointer = tmp_path / "pointer.nwb"
    pointer.write_text(f"/annex/objects/{link.readlink().name}\n")
    record = next(record for record in asked.records() if record["path"].startswith("sub-a"))
    urls = asked.urls(link.readlink().name)
    forms = [str(tmp_path / "mine.bin"), str(link), str(pointer), ONE, ONE.upper(), f"sha256:{ONE}"]
    forms += [link.readlink().name, record["asset_id"], *urls]
    assert len(urls) == 2
    for form in forms:
        out, _ = ask(asked, "which", form, "-d", str(asked.path), cwd=tmp_path)
        assert out == PLACES, form


def test_which_opens_no_device_or_pipe(asked: MirrorOfTest, tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pipe.nwb")
    (device := tmp_path / "device.nwb").symlink_to("/dev/zero")
    for path in (pipe, device):
        _, err = ask(asked, "which", str(path), code=UsageError.exit_code)
        assert "a device or a pipe" in err


@pytest.mark.parametrize("way", ["x.nwb", "sub-1/secret.nwb"])
def test_which_reads_no_file_to_which_a_link_of_a_repository_leads(
    asked: MirrorOfTest, tmp_path: Path, way: str
) -> None:
    (tmp_path / "home").mkdir(exist_ok=True)
    secret = tmp_path / "home" / "secret.nwb"
    secret.write_text("mine")
    clone = asked.git_clone(tmp_path / "somebody's")
    (clone / "x.nwb").symlink_to(secret)
    (clone / "sub-1").rename(tmp_path / "away") if (clone / "sub-1").exists() else None
    (clone / "sub-1").symlink_to(secret.parent)
    done = run("dandi-mirror", "which", str(clone / way), "-d", str(asked.path), code=2)
    assert f"leads out of {clone}, to {secret}; name that file itself" in done.stderr
    run("dandi-mirror", "which", str(secret), "-d", str(asked.path), code=3)


def test_which_says_plainly_that_a_link_leads_to_itself(tmp_path: Path) -> None:
    (tmp_path / "loop.nwb").symlink_to("loop.nwb")
    with pytest.raises(MirrorError, match=r"Too many levels of symbolic links"):
        identify(str(tmp_path / "loop.nwb"))


def test_which_says_all_versions_of_a_renamed_file_and_a_command(asked: MirrorOfTest) -> None:
    record = next(record for record in asked.records() if record["path"].startswith("sub-b"))
    out, _ = ask(asked, "which", record["asset_id"], "-f", "json")
    old, new, summary = [json.loads(line) for line in out.splitlines()]
    assert summary == {"action": "summary", "status": "ok", "exit_code": 0, "places": 2}
    assert (old["file"], old["versions"]) == ("sub-b/sub-b_ses-2.nwb", [TAG])
    assert (new["file"], new["versions"]) == ("sub-b/sub-b_ses-3.nwb", ["draft"])
    assert old["command"] == f"dandi-mirror get 000123@{TAG} sub-b/sub-b_ses-2.nwb"


def test_which_says_plainly_that_bytes_are_nowhere(asked: MirrorOfTest, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"other")
    for form in (str(tmp_path / "other"), "0" * 64, "00000000-0000-4000-8000-000000000000"):
        _, err = ask(asked, "which", form, code=3)
        assert err.startswith("dandi-mirror: no version of a mirrored Dandiset holds ")
    out, err = ask(asked, "which", "0" * 64, "-f", "json", code=3)
    record, summary = map(json.loads, out.splitlines())
    assert (record["action"], record["path"], record["status"]) == ("which", "0" * 64, "impossible")
    assert (summary["status"], summary["exit_code"], err) == ("error", 3, "")
    for form in ("no/such/file", str(tmp_path), "000123"):
        assert ask(asked, "which", form, code=2)[1].count("\n") == 1


def test_the_content_of_a_refused_asset_is_found_where_it_is_kept(archive: Archive, made: MirrorOfTest) -> None:
    asset = archive.dandisets["000123"].add_asset(".git/config", archive.add_blob(b"x"), unchecked=True)
    made.sync()
    made.server.requests.clear()
    out, _ = ask(made, "which", asset.asset_id)
    assert out == f"000123  .dandi/refused/{asset.asset_id}  (1 bytes)  draft\n"


def blob_url(made: MirrorOfTest, path: str) -> str:
    """The place in the bucket of an asset of the draft."""
    asset = made.server.archive.dandisets["000123"].draft.asset_at(path)
    assert asset and asset.blob
    return f"{made.server.archive.s3_url}/{asset.blob.key}"


def test_a_blob_is_found_where_the_branch_of_git_annex_has_changed_and_no_more_of_it_is_read(
    archive: Archive, made: MirrorOfTest
) -> None:
    nowhere = f"https://dandiarchive.s3.amazonaws.com/blobs/000/000/{UUID(int=1, version=4)}"
    ask(made, "which", nowhere, code=3)
    dandiset = archive.dandisets["000123"]
    dandiset.add_asset("sub-z/new.nwb", archive.add_blob(b"new one"))
    ask(made, "which", blob_url(made, "sub-z/new.nwb"), code=3)
    made.sync()
    made.server.requests.clear()
    index = made.path / ".dandi-mirror" / "search.sqlite"
    with closing(sqlite3.connect(index)) as database, database:
        database.execute("DELETE FROM blob")  # what is known is not read again
    out, _ = ask(made, "which", blob_url(made, "sub-z/new.nwb"))
    assert out == "000123  sub-z/new.nwb  (7 bytes)  draft\n"
    with closing(sqlite3.connect(index)) as database:
        assert database.execute("SELECT count(*) FROM blob").fetchone() == (1,)


def test_a_blob_is_found_if_the_branch_of_git_annex_was_made_anew(archive: Archive, made: MirrorOfTest) -> None:
    url = blob_url(made, archive.dandisets["000123"].draft.ordered("path")[0].path)
    before, _ = ask(made, "which", url)
    index = made.path / ".dandi-mirror" / "search.sqlite"
    with closing(sqlite3.connect(index)) as database, database:
        database.execute("DELETE FROM blob")
        database.execute("UPDATE blobs_read SET annex = ?", ["1" * 40])
    assert ask(made, "which", url)[0] == before


def test_a_blob_is_found_if_the_index_cannot_be_written(archive: Archive, made: MirrorOfTest) -> None:
    url = blob_url(made, archive.dandisets["000123"].draft.ordered("path")[0].path)
    ask(made, "search", "anything")
    index = made.path / ".dandi-mirror" / "search.sqlite"
    with closing(sqlite3.connect(f"file:{index}?mode=ro", uri=True)) as database:
        content = identify(url)
        assert occurrences(database, Mirror(made.path), content)
