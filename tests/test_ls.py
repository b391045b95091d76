"""``ls``: the files of a version, from the mirror, a clone or the archive; and names where commands take them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import RedirectResponse, Response

from dandi_mirror.archive.api.follow_names import follow
from dandi_mirror.archive.instances import KNOWN
from dandi_mirror.archive.names import Name, parse
from dandi_mirror.embedded import Archive, Request, Server
from dandi_mirror.errors import MirrorError, UsageError
from dandi_mirror.mirror.contents.links import links
from dandi_mirror.mirror.contents.local import local_contents
from dandi_mirror.mirror.locate.clones import clone_at
from dandi_mirror.workflows.names.naming import settings_for
from tests.conftest import IMPATIENT, MirrorOfTest, run
from tests.support.dandisets import participant

TAG = "0.240101.0000"


@pytest.fixture
def mixed(archive: Archive, mirror: MirrorOfTest) -> MirrorOfTest:
    """A version of two files of a subject, and a draft with more: text, a pending file, a Zarr and a refused one."""
    dandiset = archive.create_dandiset("000123", name="A \x1b test")
    for number in (1, 2):
        path = f"sub-1/sub-1_ses-{number}.nwb"
        dandiset.add_asset(path, archive.add_blob(b"x" * 500 * number), metadata=participant("one"))
    dandiset.publish(TAG, created="2024-01-01T00:00:00Z")
    dandiset.add_asset("sub-2/a b.nwb", archive.add_blob(b"y" * 100), metadata=participant("two"))
    dandiset.add_asset("README.md", archive.add_blob(b"# text\n"))
    dandiset.add_asset("sub-2/pending.nwb", archive.add_blob(b"z" * 10, sha256_known=False))
    dandiset.add_asset("sub-2\\x.nwb", archive.add_blob(b"w" * 10), unchecked=True)
    mirror.sync()
    mirror.server.requests.clear()
    return mirror


def entries(mirror: MirrorOfTest, *arguments: str, code: int = 0) -> dict[str, dict[str, Any]]:
    """The JSON records of a listing, by the file or folder; without the summary."""
    done = mirror.cli("ls", *arguments, "-f", "json", code=code)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert records[-1]["action"] == "summary"
    return {record["file"]: record for record in records[:-1]}


def test_the_newest_version_is_listed_from_the_mirror_and_nobody_is_asked(mixed: MirrorOfTest) -> None:
    done = mixed.cli("ls", "000123")
    assert done.stdout == (
        f"000123@{TAG}  A \\x1b test  (from {mixed.path}/000123)\n"
        "    1.5 kB          -  one                       sub-1/\n"
        "2 files, 1.5 kB, 1 subject\n"
    )
    assert mixed.server.requests == []


def test_a_draft_names_what_is_in_no_tree_too(mixed: MirrorOfTest) -> None:
    found = entries(mixed, "000123@draft", "-r")
    assert {path: (entry["size"], entry["here"], entry["state"]) for path, entry in found.items()} == {
        "README.md": (7, True, ""),
        "sub-1/sub-1_ses-1.nwb": (500, False, ""),
        "sub-1/sub-1_ses-2.nwb": (1000, False, ""),
        "sub-2/a b.nwb": (100, False, ""),
        "sub-2/pending.nwb": (None, False, "pending"),
        "sub-2\\x.nwb": (10, False, "refused"),
    }
    folders = entries(mixed, "000123@draft")
    assert list(folders) == ["README.md", "sub-1/", "sub-2/", "sub-2\\x.nwb"]
    assert (folders["sub-2/"]["files"], folders["sub-2/"]["subjects"]) == (2, ["two"])
    assert mixed.server.requests == []


def test_content_that_is_here_is_said_to_be(mixed: MirrorOfTest) -> None:
    mixed.git("annex", "get", "sub-1/sub-1_ses-1.nwb")
    assert [entry["here"] for entry in entries(mixed, f"000123@{TAG}", "-r").values()] == [True, False]
    assert "     1/2  " in mixed.cli("ls", "000123").stdout
    assert "2 files, 1.5 kB, 1 subject; here: 1, 500 bytes" in mixed.cli("ls", "000123").stdout


def test_mirror_and_archive_say_the_same(archive: Archive, mixed: MirrorOfTest, tmp_path: Path) -> None:
    elsewhere = ["-d", str(tmp_path)]
    for name in (f"000123@{TAG}", "000123@draft/sub-1", "000123@draft/SUB-*1.nwb", "000123@draft/README.md"):
        here = entries(mixed, name, "-r", "--links")
        done = run("dandi-mirror", "ls", name, "-r", "--links", "-f", "json", *elsewhere, "-i", mixed.server.api_url)
        there = [json.loads(line) for line in done.stdout.splitlines()][:-1]
        assert [entry["file"] for entry in there] == list(here)
        own = {"path", "refds", "source", "here"}
        for entry in there:
            assert entry["source"] == "archive"
            both = [
                {key: value for key, value in each.items() if key not in own} for each in (entry, here[entry["file"]])
            ]
            if entry["file"] != "README.md":  # git-annex is not asked where text is
                assert both[0] == both[1]


def test_what_the_named_mirror_does_not_have_is_said_to_come_from_the_archive(
    mixed: MirrorOfTest, archive: Archive, tmp_path: Path
) -> None:
    archive.create_dandiset("000777").add_asset("a.nwb", archive.add_blob(b"a"))
    words = f"000777 is not in {mixed.path}: this is what the archive has"
    assert words in mixed.cli("ls", "000777").stderr
    assert mixed.cli("ls", "000123").stderr == ""
    done = mixed.cli("ls", "000123/zzz", code=3)
    assert f"see dandi-mirror ls 000123@0.240101.0000 -d {mixed.path}" in done.stderr, done.stderr
    here = run("dandi-mirror", "ls", "000777", "-i", mixed.server.api_url, cwd=tmp_path)
    assert here.stderr == "", "nobody named a mirror"


def test_the_archive_is_asked_for_a_folder_only(mixed: MirrorOfTest, tmp_path: Path) -> None:
    run("dandi-mirror", "ls", "000123@draft/sub-1/", "-d", str(tmp_path), "-i", mixed.server.api_url)
    asked = [(request.path, request.params.get("path")) for request in mixed.server.requests]
    assert asked == [
        ("/api/info/", None),
        ("/api/dandisets/000123/", None),
        ("/api/dandisets/000123/versions/draft/assets/", "sub-1/"),
    ]


def test_one_asset_is_found_by_its_id_and_by_its_link(archive: Archive, mixed: MirrorOfTest, tmp_path: Path) -> None:
    entry = entries(mixed, f"000123@{TAG}/sub-1/sub-1_ses-1.nwb")["sub-1/sub-1_ses-1.nwb"]
    api = mixed.server.api_url
    version = f"{api}/dandisets/000123/versions/{TAG}"
    for link in (f"{api}/assets/{entry['asset_id']}/download/", f"{version}/assets/{entry['asset_id']}/"):
        done = run("dandi-mirror", "ls", link, "-d", str(tmp_path), "-f", "json")
        assert json.loads(done.stdout.splitlines()[0])["sha256"] == entry["sha256"]
    mixed.server.requests.clear()
    assert list(entries(mixed, f"{version}/assets/{entry['asset_id']}/")) == ["sub-1/sub-1_ses-1.nwb"]
    assert mixed.server.requests == [], "the mirror has it"


def test_a_path_in_a_clone_is_a_name(mixed: MirrorOfTest, tmp_path: Path) -> None:
    clone = mixed.git_clone(tmp_path / "clone", "--branch", TAG)
    done = run("dandi-mirror", "ls", "sub-1", "-f", "json", cwd=clone)
    first = json.loads(done.stdout.splitlines()[0])
    assert (first["version"], first["path"]) == (TAG, str(clone / "sub-1/sub-1_ses-1.nwb"))
    # what is in the clone comes before the mirror, and by its id too
    done = run("dandi-mirror", "ls", "000123@draft/README.md", "--links", cwd=clone)
    assert f"(from {clone})" in done.stdout
    broken = clone_at(str(clone / "sub-1/sub-1_ses-1.nwb"))
    assert broken and (broken.name.dandiset, broken.name.path) == ("000123", "sub-1/sub-1_ses-1.nwb")
    assert clone_at(str(mixed.path)) is None
    assert clone_at(str(clone / "absent")) is None
    done = run("dandi-mirror", "status", str(clone / "sub-1"), "-d", str(mixed.path), code=2)
    assert done.stderr.endswith("this command takes a whole Dandiset, not a part of it; write 000123\n")


def test_a_glob_is_one_in_a_clone_too(mixed: MirrorOfTest, tmp_path: Path) -> None:
    clone = mixed.git_clone(tmp_path / "clone")
    for folder, glob in ((clone, "sub-1/*.nwb"), (clone, "*SES-*.nwb"), (clone / "sub-1", "*.nwb")):
        listed = run("dandi-mirror", "ls", glob, cwd=folder).stdout
        assert listed.splitlines()[0].startswith("000123@draft") and "\n2 files, 1.5 kB, 1 subject\n" in listed
    assert "000123@draft has no *.tif; see" in run("dandi-mirror", "ls", "*.tif", cwd=clone, code=3).stderr
    assert "names no Dandiset" in run("dandi-mirror", "ls", "../*.nwb", cwd=tmp_path, code=2).stderr
    run("dandi-mirror", "download", "sub-*/*_ses-*.nwb", "-o", "../out", "-i", mixed.server.api_url, cwd=clone)
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.nwb")) == ["sub-1_ses-1.nwb", "sub-1_ses-2.nwb"]


def test_what_names_nothing_gets_a_way_on(mixed: MirrorOfTest, tmp_path: Path) -> None:
    top, blob = (
        mixed.path / "000123",
        "https://dandiarchive.s3.amazonaws.com/blobs/3b0/689/3b068999-b071-4bba-af03-37dee5643741",
    )
    for folder, name, hint in (
        (top, "sub-9", "there is no file or folder sub-9 here; did you mean sub-2?"),
        (top, "else", "there is no file or folder else here; see which there are: dandi-mirror ls ."),
        (top, "00012", "did you mean"),
        (tmp_path, ".", f"{tmp_path} is in no clone of a Dandiset"),
        (tmp_path, blob, f"to find its file: dandi-mirror which {blob}"),
    ):
        for command in ("ls", "download"):
            said = run("dandi-mirror", command, name, "-i", mixed.server.api_url, cwd=folder, code=2).stderr
            assert hint in said
            assert len(said.splitlines()) == 1


def test_what_is_not_there_gets_the_nearest_that_is(mixed: MirrorOfTest) -> None:
    done = mixed.cli("ls", "000123@draft/sub-1/sub-1_ses-3.nwb", code=3)
    assert "000123@draft has no sub-1/sub-1_ses-3.nwb; did you mean 000123@draft/sub-1/sub-1_ses" in done.stderr
    assert mixed.server.requests == []
    done = mixed.cli("ls", "000124", "000123", code=3)
    assert "has no /dandisets/000124/" in done.stderr
    assert "; did you mean 000123? or find it by words: dandi-mirror search WORDS\n" in done.stderr
    assert "2 files" in done.stdout


def test_all_records_are_one_array_where_that_is_wanted(mixed: MirrorOfTest) -> None:
    records = json.loads(mixed.cli("ls", "000123", "-f", "json-array").stdout)
    assert [record["action"] for record in records] == ["ls", "summary"]


def test_a_mirror_of_another_archive_is_not_listed_instead(mixed: MirrorOfTest) -> None:
    for text in ("LINC:000123", "https://sandbox.dandiarchive.org/dandiset/000123"):
        assert local_contents(parse(text), mixed.path) is None
    own = f"{mixed.server.api_url}/dandisets/000123/"
    for text in ("DANDI:000123", "https://dandiarchive.org/dandiset/000123", "000123", own):
        assert local_contents(parse(text), mixed.path)


def test_a_tag_of_a_persons_own_is_no_version(mixed: MirrorOfTest) -> None:
    mixed.git("tag", "-a", "-m", "mine", "mine", "draft")
    assert mixed.cli("ls", "000123").stdout.startswith(f"000123@{TAG}")


def test_links_are_those_of_the_archives_own_pages() -> None:
    s3, api = "https://dandiarchive.s3.amazonaws.com/blobs/1", "https://api.dandiarchive.org/api/assets/2/download/"
    assert links("a.nwb", 10, (s3, api), "000004", "draft") == {
        "s3": s3,
        "api": api,
        "neurosift": f"https://neurosift.app/nwb?url={api}&dandisetId=000004&dandisetVersion=draft",
        "nwbexplorer": f"http://nwbexplorer.opensourcebrain.org/nwbfile={s3}",
    }
    assert "nwbexplorer" not in links("a.nwb", 2 * 10**9, (s3, api), "000004", "draft")
    assert links("a.txt", 10, (api,), "000004", "draft") == {"api": api}


# --- names where commands take them ------------------------------------------------------------------------


def test_the_archive_that_a_name_says_is_the_one_that_is_asked(mixed: MirrorOfTest, tmp_path: Path) -> None:
    link = f"{mixed.server.api_url}/dandisets/000123/"
    done = run("dandi-mirror", "sync", link, "-d", str(tmp_path / "other"), code=3)
    assert done.stdout.startswith("000123  4 files")
    mixed.server.requests.clear()
    done = run("dandi-mirror", "sync", link, "-i", "linc", "-d", str(tmp_path / "third"), code=2)
    assert "use one of them" in done.stderr
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "dandi-mirror.toml").write_text('instance = "linc"\n')
    done = run("dandi-mirror", "sync", "DANDI:000123", "-d", str(tmp_path / "mine"), code=2)
    assert "use one of them" in done.stderr
    assert mixed.server.requests == []
    done = mixed.cli("sync", "LINC:000123", code=2)
    assert "is called DANDI" in done.stderr
    assert [request.path for request in mixed.server.requests] == ["/api/info/"]


def test_commands_for_whole_dandisets_take_no_version(mixed: MirrorOfTest) -> None:
    for command in ("sync", "status", "push"):
        done = mixed.cli(command, "000123@draft", code=2)
        assert "takes a whole Dandiset, not a version; write 000123" in done.stderr
    assert mixed.cli("status", "dandi:000123", "--offline", code=3).stdout.startswith("000123  pending")
    assert mixed.server.requests == []
    link = f"https://dandiarchive.org/dandiset/000123/{TAG}"
    assert TAG in run("dandi-mirror", "cite", link, "-d", str(mixed.path)).stdout


def test_a_short_link_is_followed_and_the_page_it_leads_to_is_not_asked_for(server: Server) -> None:
    page = "https://dandiarchive.org/dandiset/000004/draft"

    def short(request: Request) -> Response | None:
        there = {"/a": f"{server.origin}/b", "/b": page, "/loop": "/loop"}
        return RedirectResponse(there[request.path]) if request.path in there else None

    server.intercept = short
    found = follow(parse(f"{server.origin}/a"), IMPATIENT)
    assert found.instance == KNOWN["dandi"]
    assert (found.dandiset, found.version, found.text, found.ask) == ("000004", "draft", f"{server.origin}/a", "")
    assert [request.path for request in server.requests] == ["/a", "/b"]
    assert all("authorization" not in request.headers for request in server.requests)
    with pytest.raises(UsageError, match="redirects more than"):
        follow(parse(f"{server.origin}/loop"), IMPATIENT)
    with pytest.raises(MirrorError):
        follow(parse(f"{server.origin}/nothing"), IMPATIENT)


def test_an_unknown_site_says_where_its_api_is(server: Server) -> None:
    found = follow(parse(f"{server.origin}/dandiset/000123/draft"), IMPATIENT)
    assert found == Name(found.text, server.api_url, "000123", "draft")
    assert [request.path for request in server.requests] == ["/server-info", "/api/info/"]


def test_nothing_is_followed_where_nobody_is_to_be_asked(server: Server, tmp_path: Path) -> None:
    done = run("dandi-mirror", "status", f"{server.origin}/a", "--offline", "-d", str(tmp_path), code=2)
    assert "cannot be resolved without the network" in done.stderr
    assert server.requests == []


def test_a_clone_says_itself_which_archive_it_is_of(mixed: MirrorOfTest, tmp_path: Path) -> None:
    clone = mixed.git_clone(tmp_path / "clone", "--branch", TAG)
    done = run("dandi-mirror", "download", "sub-1", "-o", str(tmp_path / "out"), cwd=clone)
    assert done.stdout == "downloaded 2 files, 1.5 kB\n"
    links = run("dandi-mirror", "ls", "sub-1", "--links", cwd=clone).stdout
    assert f"{mixed.server.api_url}/assets/" in links
    run("git", "config", "--global", "--unset", "annex.security.allowed-ip-addresses")
    links = run("dandi-mirror", "ls", "sub-1", "--links", "-f", "json", cwd=clone).stdout
    assert "000123" in links, "a dataset does not lead to this machine by itself"
    refused = run("dandi-mirror", "download", "sub-1", "-o", str(tmp_path / "no"), cwd=clone, code=3)
    assert "is on this machine or network" in refused.stderr


def test_an_archive_that_a_name_says_comes_before_the_one_of_the_dataset_that_is_here(tmp_path: Path) -> None:
    for said, asked in (("linc", "linc"), ("dandi", KNOWN["dandi"]), (None, KNOWN["dandi"])):
        name = Name("000123", instance=said, dandiset="000123")
        assert settings_for(tmp_path, [name], KNOWN["dandi"]).instance == asked
