"""Content of a Dandiset under embargo."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from starlette.responses import Response

from dandi_mirror.archive.instances import token_variable
from dandi_mirror.embedded import Archive, Dandiset, Request
from dandi_mirror.model import FindingKind
from tests.conftest import MirrorOfTest, run
from tests.support.credentials import PLAIN, TOKEN, keep_in_plain_file
from tests.support.datalad import quiet
from tests.support.embargo import CONTENT, FILE, OTHER, asset_id, with_token, without_program


def clone_of(mirror: MirrorOfTest, folder: Path) -> Path:
    quiet("datalad", "clone", str(mirror.path / "000123"), "clone", cwd=folder)
    return folder / "clone"


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
    assert (
        f"put your API key into {variable}, or type it once on a terminal: dandi-mirror login"
        in done.stdout + done.stderr
    )
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
    assert FindingKind.URL not in {finding["kind"] for finding in record["findings"]}
