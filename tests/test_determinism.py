"""A tag is a fact: the same published version has the same commit in every mirror."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import orjson
from starlette.responses import Response

from dandi_mirror.embedded import Archive, Request, Server
from tests.conftest import GIT_CONFIG, MirrorOfTest, own_home, run
from tests.support.dandisets import participant

OTHER_CONFIG = (
    GIT_CONFIG
    + """\
[core]
	autocrlf = true
	compression = 9
	abbrev = 4
	quotePath = true
	ignoreCase = true
[i18n]
	commitEncoding = ISO-8859-1
[commit]
	gpgSign = true
[tag]
	gpgSign = true
[fastimport]
	unpackLimit = 1
[init]
	defaultObjectFormat = sha256
"""
)


def seed(archive: Archive) -> None:
    dandiset = archive.create_dandiset("000123", name="Ünïcode — and more", created="2024-01-01T00:00:00Z")
    for number in range(5):
        dandiset.add_asset(
            f"sub-{number}/sub-{number}_ses-1.nwb",
            archive.add_blob(f"content {number}".encode()),
            metadata=participant(f"m{number}") | {"number": [0.1, 1e21, 2.0]},
            created="2024-01-01T00:00:01.5Z",
        )
    dandiset.add_asset("README.md", archive.add_blob("# Grüße\r\n".encode()), created="2024-01-01T00:00:02Z")
    dandiset.draft.modified = "2024-01-02T00:00:00Z"
    dandiset.publish("0.240102.0000", created="2024-01-02T00:00:00.25Z")
    dandiset.draft.modified = "2024-01-02T00:00:03Z"


def facts(mirror: MirrorOfTest) -> dict[str, str]:
    """What must agree between mirrors: the tag, the draft, and here the git-annex branch too."""
    return {ref: oid for ref, oid in mirror.refs().items() if not ref.startswith("refs/remotes")}


def test_mirrors_made_in_other_surroundings_agree_in_every_hash(
    archive: Archive, server: Server, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    seed(archive)
    for path in ("sub-0/twin.nwb", "sub-0/Twin.nwb"):  # one file, for a git that ignores case
        archive.dandisets["000123"].add_asset(path, archive.add_blob(path.encode()))
    mirror.cli("sync", "000123", code=0)
    other = MirrorOfTest(tmp_path / "elsewhere" / "other", server)
    home = tmp_path / "other-home"
    environment = own_home(home) | {
        "TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "7", "GIT_AUTHOR_DATE": "2001-01-01T00:00:00",
        "GIT_COMMITTER_NAME": "Somebody", "GIT_DIR": str(tmp_path / "nowhere"), "GIT_INDEX_FILE": "/nonexistent",
    }  # fmt: skip
    (home / ".gitconfig").write_text(OTHER_CONFIG)
    command = f"umask 077; exec {sys.executable} -m dandi_mirror sync 000123 -J 7 -d {other.path} -i {server.api_url}"
    run("sh", "-c", command, env=environment)
    # read with the first home: the other one would print dates and names in its own way
    assert facts(other) == facts(mirror)
    assert other.git("show", "draft:README.md") == mirror.git("show", "draft:README.md")
    assert (other.path / "000123" / "README.md").read_bytes() == "# Grüße\r\n".encode()


def rewrite(value: Any, turn: bool) -> Any:
    """The same facts as another archive host would spell them."""
    if isinstance(value, dict):
        items = [(key, rewrite(item, turn)) for key, item in value.items() if key != "modified"]
        if "modified" in value:
            time = value["modified"]
            items.append(("modified", time if "asset_count" in value else "2031-05-05T05:05:05Z"))
        return dict(reversed(items))
    if isinstance(value, list):
        return [rewrite(item, turn) for item in value]
    if isinstance(value, str):
        if "/dandi-dandisets/" in value:
            bucket = "https://dandi-dandisets.s3.us-east-2.amazonaws.com/"
            return bucket + value.partition("/dandi-dandisets/")[2]
        for now, then in (("+00:00", "Z"), ("Z", "+00:00")):
            if value.startswith("202") and "T" in value and value.endswith(now):
                return value.removesuffix(now) + then
    return value


def test_what_depends_on_the_archives_host_or_on_when_it_was_asked_changes_no_hash(
    archive: Archive, server: Server, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    seed(archive)
    mirror.sync()

    import requests

    def elsewhere(request: Request) -> Response | None:
        if "/versions/" not in request.path or request.headers.get("x-plain"):
            return None
        url = f"{server.origin}{request.path}?{request.query}"
        answer = requests.get(url, headers={"x-plain": "1"}, timeout=10)
        return Response(orjson.dumps(rewrite(answer.json(), True)), media_type="application/json")

    server.intercept = elsewhere
    other = MirrorOfTest(tmp_path / "other", server)
    report = other.sync()
    assert report.tags == ["0.240102.0000"]
    tag = "refs/tags/0.240102.0000"
    assert other.refs()[tag] == mirror.refs()[tag]
    assert other.tree() == mirror.tree()
    assert other.git("rev-parse", "draft^{tree}") == mirror.git("rev-parse", "draft^{tree}")
    assert any("us-east-2" in url for url in other.urls(other.keys()["sub-1/sub-1_ses-1.nwb"]))


def test_no_name_of_this_machine_stands_in_any_object(archive: Archive, mirror: MirrorOfTest) -> None:
    seed(archive)
    mirror.sync()
    git = f"git -C {mirror.path}/000123"
    # the ids in a tree are bytes, among which any short name may be found
    listed = f"{git} cat-file --batch-all-objects --batch-check='%(objecttype) %(objectname)' | grep -v ^tree"
    contents = f"{listed} | cut -d' ' -f2 | {git} cat-file --batch | cat -v"
    everything = run("sh", "-c", f"{contents}; {git} log --all --format= --name-only").stdout
    assert "Archive" in everything
    assert "SHA256E" in everything
    assert os.environ["HOME"] not in everything
    assert not re.search(rf"\b{re.escape(os.uname().nodename)}\b", everything)
