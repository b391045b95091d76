"""Embargoed Dandisets: mirrored with a token, content by the special remote; and what stays as it was for others."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from starlette.responses import Response

from dandi_mirror.archive.instances import token_variable
from dandi_mirror.embedded import Archive, Dandiset, Request, Server
from dandi_mirror.model import Kind
from dandi_mirror.repo.annex import logs
from tests.conftest import MirrorOfTest, run
from tests.support.credentials import PLAIN, TOKEN, keep_in_plain_file
from tests.support.dandisets import seed
from tests.support.datalad import quiet

FILE = "sub-0/sub-0_ses-1_ecephys.nwb"
OTHER = "sub-1/sub-1_ses-1_ecephys.nwb"
CONTENT = b"content 0"


@pytest.fixture
def closed(archive: Archive) -> Dandiset:
    archive.add_user("me@example.org", TOKEN, name="Olive Owner")
    archive.add_user("other@example.org", "f" * 40)
    dandiset = seed(archive)
    dandiset.owners.append("me@example.org")
    dandiset.add_asset("README", archive.add_blob(b"not for all\n"))
    dandiset.set_embargo("EMBARGOED")
    return dandiset


@pytest.fixture
def token(server: Server) -> dict[str, str]:
    return {token_variable(server.api_url): TOKEN}


@pytest.fixture
def made(closed: Dandiset, mirror: MirrorOfTest, token: dict[str, str]) -> MirrorOfTest:
    mirror.cli("sync", "000123", "--embargoed", env=token)
    mirror.server.requests.clear()
    return mirror


def clone_of(mirror: MirrorOfTest, folder: Path) -> Path:
    quiet("datalad", "clone", str(mirror.path / "000123"), "clone", cwd=folder)
    return folder / "clone"


def without_program(tmp_path: Path) -> dict[str, str]:
    """A PATH that has everything but our programs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("datalad", "git-annex", "git-annex-remote-datalad", "git-annex-remote-datalad-archives"):
        where = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
        assert where
        (folder / name).symlink_to(where)
    kept = [part for part in os.environ["PATH"].split(os.pathsep) if not Path(part, "git-annex-remote-dandi").exists()]
    path = os.pathsep.join([str(folder), *kept])
    assert not shutil.which("git-annex-remote-dandi", path=path)
    return {"PATH": path}


def with_token(server: Server) -> list[Request]:
    return [request for request in server.requests if "authorization" in request.headers]


# --- sync ---------------------------------------------------------------------------------------------------


def test_an_embargoed_dandiset_is_mirrored_with_a_token_and_nothing_of_it_is_asked_of_s3_but_by_signed_urls(
    closed: Dandiset, mirror: MirrorOfTest, token: dict[str, str]
) -> None:
    done = mirror.cli("sync", "000123", "--embargoed", env=token)
    assert (done.stdout, done.stderr) == ("000123  4 files, 39 bytes  +4\n", "")
    blobs = [request for request in mirror.server.requests if "/blobs/" in request.path]
    assert len(blobs) == 1, "the text file"
    assert "X-Amz-Signature" in blobs[0].query
    assert all(request.path.startswith("/api/") for request in with_token(mirror.server))
    assert (mirror.path / "000123" / "README").read_text() == "not for all\n"
    told = mirror.cli("sync", "000123", "--embargoed", "--mode", "force", "-l", "debug", env=token).stderr
    assert "/users/me/" not in told
    assert "X-Amz" not in told
    assert TOKEN not in told
    again = mirror.cli("sync", "--embargoed", env=token)
    assert (again.stdout, again.stderr) == ("", "")
    assert mirror.cli("status", "000123", env=token | {"DANDI_MIRROR_EMBARGOED": "true"}).stdout.startswith(
        "000123  up to date"
    )


def test_its_logs_name_the_api_and_no_place_that_gives_nothing(made: MirrorOfTest) -> None:
    key = made.keys()[FILE]
    assert made.urls(key) == {made.server.archive.api_url + f"/assets/{asset_id(made, FILE)}/download/"}
    present = logs.present(annex_file(made, f"{key}.log"))
    assert present == {logs.embargo_remote(made.server.api_url)[0]: True}
    assert b"/blobs/" not in annex_file(made, f"{key}.log.web")


def asset_id(mirror: MirrorOfTest, path: str) -> str:
    return str(next(record["asset_id"] for record in mirror.records() if record["path"] == path))


def annex_file(mirror: MirrorOfTest, name: str) -> bytes:
    paths = mirror.git("ls-tree", "-r", "--name-only", "git-annex").splitlines()
    path = next(path for path in paths if path.rpartition("/")[2] == name)
    return (mirror.git("cat-file", "blob", f"git-annex:{path}") + "\n").encode()


def test_without_the_option_it_is_refused_and_the_option_is_named(
    closed: Dandiset, mirror: MirrorOfTest, token: dict[str, str]
) -> None:
    assert "--embargoed" in mirror.cli("sync", "000123", code=3, env=token).stderr
    assert not (mirror.path / "000123").exists()
    mirror.cli("sync", "--all", env=token)
    assert not (mirror.path / "000123").exists()


def test_a_run_over_all_takes_those_that_the_token_opens_and_a_setting_says_it_too(
    archive: Archive, closed: Dandiset, mirror: MirrorOfTest, token: dict[str, str]
) -> None:
    archive.create_dandiset("000124", name="of somebody else").set_embargo("EMBARGOED")
    archive.create_dandiset("000125", name="of all")
    mirror.cli("sync", "--all", env=token | {"DANDI_MIRROR_EMBARGOED": "1"})
    assert (mirror.path / "000123").exists()
    assert not (mirror.path / "000124").exists()
    mirror.server.requests.clear()
    assert mirror.cli("sync", "--all", "--embargoed", env=token).stdout == ""
    assert len(mirror.server.requests) == 2, "nothing new costs no more than among open ones"
    stranger = {token_variable(mirror.server.api_url): "f" * 40}
    assert "forbidden" in mirror.cli("sync", "--embargoed", env=stranger, code=3).stderr
    assert (mirror.path / "000123" / "README").exists(), "what is there stays"


def test_workers_of_a_cluster_get_no_token_so_both_together_are_refused(
    closed: Dandiset, mirror: MirrorOfTest, token: dict[str, str]
) -> None:
    done = mirror.cli("sync", "--all", "--embargoed", "--scheduler", "tcp://127.0.0.1:1", env=token, code=2)
    assert "the workers of a cluster get no API key" in done.stderr


def test_the_end_of_the_embargo_brings_s3_and_switches_the_remote_off(
    closed: Dandiset, made: MirrorOfTest, tmp_path: Path
) -> None:
    closed.set_embargo("OPEN")
    assert made.cli("status", "000123").stdout.startswith("000123  behind")
    made.cli("sync", "000123")
    key = made.keys()[FILE]
    assert logs.present(annex_file(made, f"{key}.log")) == {
        logs.WEB: True,
        logs.embargo_remote(made.server.api_url)[0]: False,
    }
    assert any("/blobs/" in url for url in made.urls(key))
    assert {record["metadata"]["access"][0]["status"] for record in made.records()} == {"dandi:OpenAccess"}
    assert b" X timestamp=" in annex_file(made, "trust.log")
    assert made.cli("sync", "000123", "--mode", "verify").stdout == ""
    # on a machine without our program: silent, and content comes
    environment = without_program(tmp_path)
    done = run("datalad", "clone", str(made.path / "000123"), "clone", cwd=tmp_path, env=environment)
    assert "dandi-embargoed" not in done.stderr
    assert "git-annex-remote-dandi" not in done.stderr
    done = run("datalad", "get", FILE, cwd=tmp_path / "clone", env=environment)
    assert "git-annex-remote-dandi" not in done.stderr
    assert (tmp_path / "clone" / FILE).read_bytes() == CONTENT


def test_a_version_has_the_same_hash_whether_its_draft_was_mirrored_under_embargo_or_not(
    closed: Dandiset, made: MirrorOfTest, token: dict[str, str], tmp_path: Path
) -> None:
    closed.set_embargo("OPEN")
    closed.publish("0.240101.0000", created="2024-01-01T00:00:00Z")
    made.cli("sync", "000123")
    fresh = MirrorOfTest(tmp_path / "fresh", made.server)
    fresh.cli("sync", "000123", "--embargoed", env=token)
    tags = [mirror.git("rev-parse", "0.240101.0000") for mirror in (made, fresh)]
    assert tags[0] == tags[1]
    assert made.git("rev-parse", "draft^{tree}") == fresh.git("rev-parse", "draft^{tree}")
    assert b"externaltype" not in annex_file(fresh, "remote.log"), "an open Dandiset has no such remote"


# --- content ------------------------------------------------------------------------------------------------


def test_a_fresh_clone_gets_embargoed_content_with_the_variable_and_the_token_goes_to_the_api_only(
    made: MirrorOfTest, token: dict[str, str], tmp_path: Path
) -> None:
    clone = clone_of(made, tmp_path)
    assert made.server.requests == [], "to clone asks nothing"
    done = run("datalad", "get", "sub-0", cwd=clone, env=token)
    assert (clone / FILE).read_bytes() == CONTENT
    assert TOKEN not in done.stdout + done.stderr
    assert all(request.path.startswith("/api/assets/") for request in with_token(made.server))
    blobs = [request for request in made.server.requests if "/blobs/" in request.path]
    assert blobs
    assert all("X-Amz-Signature" in request.query for request in blobs)
    quiet("git", "annex", "fsck", FILE, cwd=clone)
    # the archive is asked before the last copy is dropped
    run("datalad", "drop", FILE, cwd=clone, env=token)
    run("datalad", "get", FILE, cwd=clone, env=token)
    assert run("grep", "-rl", TOKEN, str(clone), code=None).stdout == ""


def test_the_keyring_does_as_well(made: MirrorOfTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_in_plain_file(made.server, monkeypatch)
    clone = clone_of(made, tmp_path)
    run("datalad", "get", ".", cwd=clone, env={"PYTHON_KEYRING_BACKEND": PLAIN})
    assert (clone / FILE).read_bytes() == CONTENT


def test_get_and_download_take_the_key_of_the_keyring(
    made: MirrorOfTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_in_plain_file(made.server, monkeypatch)
    clone = clone_of(made, tmp_path)
    assert run("dandi-mirror", "get", "sub-0", cwd=clone).stdout == "got 1 file, 9 bytes\n"
    assert (clone / FILE).read_bytes() == CONTENT
    quiet("git", "annex", "fsck", FILE, cwd=clone)
    made.cli("download", "000123/sub-0", "-o", str(tmp_path / "from-mirror"))
    nowhere = ["-d", str(tmp_path / "nowhere"), "-i", made.server.api_url]
    assert "sub-0/" in run("dandi-mirror", "ls", "000123", *nowhere).stdout
    run("dandi-mirror", "download", "000123/sub-0", "-o", str(tmp_path / "from-archive"), *nowhere)
    for folder in ("from-mirror", "from-archive"):
        assert (tmp_path / folder / FILE).read_bytes() == CONTENT
    assert all(request.path.startswith("/api/") for request in with_token(made.server))
    assert run("grep", "-rl", TOKEN, str(tmp_path / "clone"), str(made.path), code=None).stdout == ""


def test_get_and_download_say_what_is_to_be_done_without_a_key(
    made: MirrorOfTest, token: dict[str, str], tmp_path: Path
) -> None:
    clone = clone_of(made, tmp_path)
    said = run("dandi-mirror", "get", FILE, cwd=clone, code=4).stderr
    nowhere = ["-d", str(tmp_path / "nowhere"), "-i", made.server.api_url]
    for done in (
        run("dandi-mirror", "download", "000123/sub-0", *nowhere, cwd=tmp_path, code=4),
        run("dandi-mirror", "ls", "000123", *nowhere, cwd=tmp_path, code=4),
    ):
        assert token_variable(made.server.api_url) in done.stderr
        said += done.stderr
    assert said.count("it is embargoed, and you have not logged in") == len(said.splitlines()) == 3
    assert said.count(f"dandi-mirror login -i {made.server.api_url}") == 3
    assert not (clone / FILE).exists()
    stranger = run("dandi-mirror", "get", FILE, cwd=clone, code=4, env=dict.fromkeys(token, "f" * 40)).stderr
    assert f"your API key does not give access to it: dandi-mirror login --check -i {made.server.api_url}" in stranger


def test_without_a_key_one_line_says_what_to_do(made: MirrorOfTest, tmp_path: Path) -> None:
    clone = clone_of(made, tmp_path)
    done = run("datalad", "get", FILE, cwd=clone, code=1)
    variable = token_variable(made.server.api_url)
    assert f"put it into {variable}, or type it once on a terminal: dandi-mirror login" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert with_token(made.server) == []
    stranger = run("git", "annex", "get", FILE, cwd=clone, code=1, env={variable: "f" * 40})
    assert f"the owner of the API key in {variable}" in stranger.stdout + stranger.stderr


def test_a_drop_needs_the_archives_word(
    closed: Dandiset, made: MirrorOfTest, token: dict[str, str], tmp_path: Path
) -> None:
    clone = clone_of(made, tmp_path)
    run("datalad", "get", FILE, OTHER, cwd=clone, env=token)
    run("git", "annex", "drop", FILE, cwd=clone, code=1)
    closed.delete_asset(OTHER)
    del made.server.archive.assets[asset_id(made, OTHER)]
    run("git", "annex", "drop", OTHER, cwd=clone, code=1, env=token)
    assert (clone / OTHER).exists()
    assert (clone / FILE).exists()


def test_what_broke_off_is_resumed_and_what_is_wrong_never_becomes_present(
    archive: Archive, closed: Dandiset, mirror: MirrorOfTest, token: dict[str, str], tmp_path: Path
) -> None:
    content = os.urandom(3 << 20)
    closed.add_asset("sub-9/large.nwb", archive.add_blob(content))
    mirror.cli("sync", "000123", "--embargoed", env=token)
    clone = clone_of(mirror, tmp_path)
    ranges: list[str] = []

    def break_off(request: Request) -> Response | None:
        if "/blobs/" not in request.path:
            return None
        ranges.append(request.headers.get("range", ""))
        if len(ranges) == 1:
            return Response(content[: 1 << 20], 200, {"content-length": str(len(content))})
        return Response(b"expired", 403) if len(ranges) == 2 else None

    mirror.server.intercept = break_off
    run("datalad", "get", "sub-9", cwd=clone, env=token)
    assert (clone / "sub-9" / "large.nwb").read_bytes() == content
    rest = f"bytes={1 << 20}-{len(content) - 1}"
    assert ranges == ["", rest, rest]
    mirror.server.intercept = lambda request: Response(b"wrong byt", 200) if "/blobs/" in request.path else None
    run("datalad", "get", FILE, cwd=clone, env=token, code=1)
    assert not (clone / FILE).exists()
    mirror.server.intercept = None
    run("datalad", "get", FILE, cwd=clone, env=token)
    assert (clone / FILE).read_bytes() == CONTENT


def test_a_dataset_that_names_another_api_gets_no_token_of_this_one(
    made: MirrorOfTest, token: dict[str, str], tmp_path: Path
) -> None:
    clone = clone_of(made, tmp_path)
    run("git", "annex", "enableremote", "dandi-embargoed", "api=https://evil.example/api", cwd=clone)
    run("git", "annex", "get", FILE, cwd=clone, code=1, env=token)
    assert made.server.requests == [], "its URLs are none of that API's"
    for wrong in ("http://evil.example/api", "file:///etc", "https://me:secret@api.example/api"):
        done = run("git", "annex", "enableremote", "dandi-embargoed", f"api={wrong}", cwd=clone, code=1)
        assert "Traceback" not in done.stderr


def test_without_our_program_a_clone_works_and_says_what_is_missing(
    made: MirrorOfTest, token: dict[str, str], tmp_path: Path
) -> None:
    environment = without_program(tmp_path)
    done = run("datalad", "clone", str(made.path / "000123"), "clone", cwd=tmp_path, env=environment)
    assert "git-annex-remote-dandi" in done.stderr
    assert (tmp_path / "clone" / "README").read_text() == "not for all\n"
    quiet("git", "annex", "find", "--not", "--in", "here", cwd=tmp_path / "clone")
    # and when the program is there
    told = run("git", "annex", "enableremote", "dandi-embargoed", cwd=tmp_path / "clone")
    # a recent git-annex wants its owner to look at it, and prints the command that says so
    if look := re.search(r"git-annex (verifyremote dandi-embargoed --safe \d+)", told.stdout + told.stderr):
        run("git", "annex", *look[1].split(), cwd=tmp_path / "clone")
    run("datalad", "get", FILE, cwd=tmp_path / "clone", env=token)
    assert (tmp_path / "clone" / FILE).read_bytes() == CONTENT


def test_content_that_the_settings_ask_for_comes_with_the_token(
    closed: Dandiset, mirror: MirrorOfTest, token: dict[str, str]
) -> None:
    mirror.cli("sync", "000123", "--embargoed", "--get", "sub-0/*", env=token)
    assert (mirror.path / "000123" / FILE).read_bytes() == CONTENT


def test_nothing_can_be_put_there(made: MirrorOfTest, token: dict[str, str], tmp_path: Path) -> None:
    clone = clone_of(made, tmp_path)
    for name in ("dandiapi", "dandi-embargoed"):
        run("git", "config", f"remote.{name}.annex-verified", "verified", cwd=clone)
    (clone / "mine.nwb").write_bytes(b"mine")
    run("git", "annex", "add", "-q", "mine.nwb", cwd=clone)
    done = run("git", "annex", "copy", "--to", "dandi-embargoed", "mine.nwb", cwd=clone, env=token, code=1)
    assert "this remote is read-only" in done.stdout + done.stderr
    run("git", "annex", "get", FILE, cwd=clone, env=token)
    run("git", "annex", "drop", "--from", "dandi-embargoed", "--force", FILE, cwd=clone, env=token, code=1)


def test_no_finding_is_made_of_urls_that_cannot_be_there(
    archive: Archive, closed: Dandiset, mirror: MirrorOfTest, token: dict[str, str]
) -> None:
    record = json.loads(mirror.cli("sync", "000123", "--embargoed", "-f", "json", env=token).stdout.splitlines()[0])
    assert Kind.URL not in {finding["kind"] for finding in record["findings"]}


# --- what others get to see ---------------------------------------------------------------------------------


def test_what_was_under_embargo_once_is_pushed_to_private_siblings_only(
    closed: Dandiset, made: MirrorOfTest, token: dict[str, str], tmp_path: Path
) -> None:
    settings = made.path / "dandi-mirror.toml"
    settings.write_text(f'[sibling.public]\nurl = "{tmp_path}/public"\n')
    assert "it is not open (" in made.cli("push", "000123", env=token, code=3).stderr
    closed.delete_asset(FILE)
    closed.set_embargo("OPEN")
    made.cli("sync", "000123")
    assert "began under an embargo" in made.cli("push", "000123", code=3).stderr
    assert not (tmp_path / "public" / "000123").exists()
    settings.write_text(f'[sibling.ours]\nurl = "{tmp_path}/ours"\nprivate = true\n')
    made.cli("push")
    # a new history has nothing of it
    settings.write_text(f'[sibling.public]\nurl = "{tmp_path}/public"\n')
    (made.path / "000123").rename(tmp_path / "old")
    made.cli("sync", "000123")
    made.cli("push", "000123")
    names = run("git", "-C", str(tmp_path / "public" / "000123"), "log", "--format=", "--name-only", "draft").stdout
    assert OTHER in names
    assert FILE not in names
