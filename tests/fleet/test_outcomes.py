"""What becomes of a Dandiset that appears, changes, fails, vanishes or is under embargo."""

from __future__ import annotations

import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from starlette.responses import JSONResponse, Response

from dandi_mirror.archive.instances import token_variable
from dandi_mirror.embedded import Archive
from dandi_mirror.mirror.state.layout import Mirror
from tests.conftest import MirrorOfTest
from tests.support.fleet import IDS, TAG, all_refs, asked, records, set_verified, word


def test_a_dandiset_that_is_new_renamed_or_fails_has_its_word(archive: Archive, many: MirrorOfTest) -> None:
    many.cli("sync", "000001", "000002")
    assert word(many, "000003") == "not mirrored"
    dandiset = archive.dandisets["000001"]
    dandiset.set_metadata(dandiset.draft.given | {"name": "Another name"})
    assert word(many, "000001") == "renamed"
    archive.dandisets["000002"].delete_asset("a.nwb")
    assert word(many, "000002") == "behind"
    many.server.intercept = lambda request: (
        Response("not JSON") if request.path.endswith("000002/versions/draft/") else None
    )
    done = many.cli("sync", code=5)
    assert done.stdout.startswith("000001  2 files")
    assert done.stderr.count("\n") == 1
    many.server.intercept = None
    assert [word(many, "000001"), word(many, "000002")] == ["up to date", "unanswered"]
    assert many.git("log", "-1", "--format=%s", dandiset=".") == "000001: Another name"
    assert many.cli("sync").stdout.startswith("000002  1 file")
    assert word(many, "000002") == "up to date"


def test_one_that_fails_is_tried_again_though_the_archive_has_not_moved(archive: Archive, many: MirrorOfTest) -> None:
    many.cli("sync", "--all")
    many.server.intercept = lambda request: Response("no", 400) if "/000004/" in request.path else None
    done = many.cli("sync", "--all", "--mode", "force", code=3)
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)
    many.server.intercept = None
    assert word(many, "000004") == "failed"
    asked(many)
    assert many.cli("sync", "--all").stdout == ""
    assert any("000004" in path for path in asked(many))
    assert word(many, "000004") == "up to date"


@pytest.mark.parametrize(("status", "named"), [(404, "gone"), (401, "forbidden"), (403, "forbidden")])
def test_a_dandiset_that_the_archive_does_not_give_any_more_is_told_once_and_kept(
    archive: Archive, many: MirrorOfTest, status: int, named: str
) -> None:
    many.cli("sync", "--all")
    before = all_refs(many)
    dandiset = archive.dandisets.pop("000002")
    if status != 404:
        many.server.intercept = lambda request: (
            JSONResponse({"detail": "no"}, status) if "/000002/" in request.path else None
        )
    first = many.cli("sync", "--all", code=3)
    assert (
        first.stdout + first.stderr == f"000002  nothing changed, but:\n  {named}    {first.stderr.split('  ', 3)[3]}"
    )
    asked(many)
    again = many.cli("sync", "--all", code=3)
    assert (again.stdout, again.stderr) == ("", "")
    assert asked(many) == ["info/", "dandisets/"], "it is asked for again by the rolling check only"
    assert [word(many, "000002"), word(many, "000002", offline=True)] == [named, named]
    assert all_refs(many) == before
    many.server.intercept = None
    archive.dandisets["000002"] = dandiset
    assert word(many, "000002") == "unembargoed"
    assert many.cli("sync", "--all").stdout == ""
    assert word(many, "000002") == "up to date"
    assert all_refs(many) == before


def test_the_folder_of_a_new_mirror_may_be_made_by_several_runs_at_once(tmp_path: Path) -> None:
    at_once = 8
    start = threading.Barrier(at_once)

    def make(mirror: Mirror) -> None:
        start.wait()
        mirror.make_own()

    with ThreadPoolExecutor(at_once) as pool:
        for number in range(20):
            list(pool.map(make, [Mirror(tmp_path / f"m{number}")] * at_once))


def test_an_embargoed_dandiset_is_no_error_of_a_run_over_all_and_is_mirrored_when_it_opens(
    archive: Archive, many: MirrorOfTest
) -> None:
    archive.dandisets["000004"].set_embargo("EMBARGOED")
    done = many.cli("sync", "--all", "-f", "json")
    assert sorted(records(done)) == [*IDS[:3], "summary"]
    archive.dandisets["000004"].set_embargo("OPEN")
    assert many.cli("sync", "--all").stdout.startswith("000004  2 files")


def test_one_that_is_closed_and_opened_again_is_read_with_all_its_metadata(
    archive: Archive, many: MirrorOfTest
) -> None:
    many.cli("sync", "--all")
    dandiset = archive.dandisets["000004"]
    dandiset.set_embargo("EMBARGOED")
    assert "forbidden" in many.cli("sync", "--all", code=3).stderr
    archive.add_user("owner", "a" * 40)
    dandiset.owners.append("owner")
    token = {token_variable(many.server.api_url): "a" * 40}
    set_verified(many, "000004", 0.0)
    assert "embargoed" in many.cli("sync", "--all", env=token, code=3).stderr
    assert word(many, "000004", offline=True) == "embargoed"
    dandiset.set_embargo("OPEN")
    assert word(many, "000004") == "unembargoed"
    many.server.requests.clear()
    many.cli("sync", "--all")
    listings = [request for request in many.server.requests if request.path.endswith("/assets/")]
    assert [request.params.get("metadata") for request in listings] == ["true"]
    assert word(many, "000004") == "up to date"


def test_a_dandiset_that_was_emptied_is_kept_until_it_is_meant(archive: Archive, many: MirrorOfTest) -> None:
    many.cli("sync", "--all")
    before = all_refs(many)
    for path in ("a.nwb", "b.nwb"):
        archive.dandisets["000001"].delete_asset(path)
    assert word(many, "000001") == "emptied"
    done = many.cli("sync", "--all", code=3)
    assert "none of 2 mirrored assets" in done.stderr
    assert "--allow-deletes" in done.stderr
    assert (word(many, "000001"), word(many, "000001", offline=True)) == ("emptied", "failed")
    assert all_refs(many) == before
    many.cli("sync", "000001", "--allow-deletes")
    assert many.asset_paths(dandiset="000001") == []
    assert "a.nwb" in many.tree("draft~1", dandiset="000001"), "history has what was there"
    assert word(many, "000001") == "up to date"


def test_an_outage_that_answers_with_no_dandiset_or_no_asset_changes_nothing(
    archive: Archive, many: MirrorOfTest
) -> None:
    many.cli("sync", "--all")
    before = all_refs(many)
    nothing: dict[str, object] = {"count": 0, "next": None, "previous": None, "results": []}
    many.server.intercept = lambda request: JSONResponse(nothing) if request.path == "/api/dandisets/" else None
    for arguments in (["--all"], []):
        done = many.cli("sync", *arguments, code=5)
        assert "lists no Dandiset at all, and 4 are mirrored" in done.stderr
        assert done.stderr.count("\n") == 1
    many.server.intercept = lambda request: JSONResponse(nothing) if request.path.endswith("/assets/") else None
    assert many.cli("sync", "--all").stdout == "", "nothing has changed, so no assets are asked for"
    done = many.cli("sync", "--all", "--mode", "force", code=5)
    assert done.stderr.count("\n") == len(IDS)
    assert word(many, "000001") == "unanswered"
    assert all_refs(many) == before


def test_versions_that_vanish_or_change_have_their_words_and_the_tag_stays(
    archive: Archive, many: MirrorOfTest
) -> None:
    for identifier in ("000001", "000002"):
        archive.dandisets[identifier].publish(TAG, created="2024-01-01T00:00:00Z")
    many.cli("sync", "--all")
    before = all_refs(many)
    archive.dandisets["000001"].delete_version(TAG)
    changed = archive.dandisets["000002"]
    changed.versions[TAG].given["name"] = "Another name"
    changed.forget()
    done = many.cli("sync", "--all", "--mode", "verify", code=7)
    kinds = [line.split()[0] for line in done.stderr.splitlines() if line.startswith("  ")]
    assert sorted(kinds) == ["alarm", "vanished"]
    assert [word(many, "000001"), word(many, "000002")] == ["version gone", "alarm"]
    for identifier in IDS:
        after = {ref: oid for ref, oid in many.refs(identifier).items() if "/alarm/" not in ref}
        assert after == before[identifier]


@pytest.mark.parametrize(
    "text", ['[submodule "000001"]\n\tpath = 000001\n\tupdate = !touch x\n', "\0[[[\n"], ids=["a program", "garbage"]
)
def test_a_gitmodules_that_git_does_not_accept_is_named_with_the_commands_that_put_it_back(
    archive: Archive, many: MirrorOfTest, text: str
) -> None:
    many.cli("sync", "--all")
    modules = many.path / ".gitmodules"
    good = modules.read_text()
    modules.write_text(text)
    archive.dandisets["000002"].add_asset("new.nwb", archive.add_blob(b"new"))
    done = many.cli("sync", "--all", code=7)
    assert "superdataset" in done.stderr and "git does not accept its .gitmodules (" in done.stderr
    what_to_type = done.stderr.rpartition("wrote: ")[2].strip()
    subprocess.run(["sh", "-c", what_to_type], check=True)
    assert modules.read_text() == good
    many.cli("sync", "--all")
    assert many.git("status", "--porcelain", dandiset=".") == ""
