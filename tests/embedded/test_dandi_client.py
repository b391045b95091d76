"""The stock ``dandi`` client works against the embedded archive: it lists, and downloads byte for byte."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dandi_mirror.embedded import Archive, Server, serve
from tests.support.asking import OWNER
from tests.support.dandi_client import dandi, files

CONTENTS = {
    "sub-1/sub-1_ses-1.nwb": b"one" * 1000,
    "sub-1/sub-1_ses-2.nwb": bytes(range(256)) * 300,
    "sub-2/sub-2 (a+b).nwb": b"\0\r\n\xff",
    "notes.txt": b"plain text\n",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    archive = Archive()
    dandiset = archive.create_dandiset("000004", name="A test")
    for path, content in CONTENTS.items():
        dandiset.add_asset(path, archive.add_blob(content))
    dandiset.publish("0.220126.1852")
    dandiset.replace_asset("notes.txt", archive.add_blob(b"changed\n"))
    with serve(archive) as served:
        yield served


def listed(home: Path, *arguments: str) -> list[dict[str, Any]]:
    done = dandi(home, "ls", "-f", "json", *arguments)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("version", ["draft", "0.220126.1852"])
def test_ls_shows_a_version_and_its_assets(server: Server, tmp_path: Path, version: str) -> None:
    url = f"{server.origin}/dandiset/000004/{version}"
    dandiset, *assets = listed(tmp_path, "-r", url)
    assert dandiset["version"] == version
    assert dandiset["name"] == "A test"
    sizes = {path: len(content) for path, content in CONTENTS.items()}
    if version == "draft":
        sizes["notes.txt"] = len(b"changed\n")
    assert {asset["path"]: asset["size"] for asset in assets} == sizes


def test_ls_of_the_api_url_shows_the_dandiset(server: Server, tmp_path: Path) -> None:
    [dandiset] = listed(tmp_path, f"{server.api_url}/dandisets/000004/")
    assert dandiset["name"] == "A test"


def test_download_of_a_published_version_gives_every_byte(server: Server, tmp_path: Path) -> None:
    done = dandi(tmp_path, "download", f"{server.origin}/dandiset/000004/0.220126.1852")
    assert done.returncode == 0, done.stdout + done.stderr
    found = files(tmp_path / "000004")
    assert found.pop("dandiset.yaml").startswith(b"# DO NOT EDIT")
    assert found == CONTENTS


def test_download_of_a_folder_gives_the_folder(server: Server, tmp_path: Path) -> None:
    url = f"{server.origin}/dandiset/000004/draft/files?location=sub-1/"
    done = dandi(tmp_path, "download", url)
    assert done.returncode == 0, done.stdout + done.stderr
    wanted = {path: content for path, content in CONTENTS.items() if path.startswith("sub-1/")}
    assert files(tmp_path / "sub-1") == {path.removeprefix("sub-1/"): c for path, c in wanted.items()}


def test_download_of_a_file_gives_the_file(server: Server, tmp_path: Path) -> None:
    asset = server.archive.dandisets["000004"].draft.asset_at("sub-2/sub-2 (a+b).nwb")
    assert asset is not None
    url = f"{server.api_url}/dandisets/000004/versions/draft/assets/{asset.asset_id}/"
    done = dandi(tmp_path, "download", url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "sub-2 (a+b).nwb").read_bytes() == CONTENTS["sub-2/sub-2 (a+b).nwb"]
    assert [r for r in server.requests if r.path.startswith("/dandi-dandisets/") and r.status == 200]


def test_what_the_client_uploads_is_in_the_draft(tmp_path: Path) -> None:
    archive = Archive()
    archive.add_user("owner@nil.nil", OWNER)
    dandiset = archive.create_dandiset("000004", owners=("owner@nil.nil",))
    folder = tmp_path / "000004"
    (folder / "sub-1").mkdir(parents=True)
    (folder / "dandiset.yaml").write_text("identifier: '000004'\n")
    content = os.urandom(100_000)
    (folder / "sub-1" / "notes.txt").write_bytes(content)
    with serve(archive) as server:
        key = {f"{server.origin.removeprefix('http://')}_API_KEY": OWNER, "DANDI_DEVEL": "1"}
        where = ["-i", server.api_url, "--validation", "skip", "--allow-any-path", str(folder)]
        done = dandi(tmp_path, "upload", *where, **key)
        assert done.returncode == 0, done.stdout + done.stderr
        archive.jobs.settle()
    asset = dandiset.draft.asset_at("sub-1/notes.txt")
    assert asset and asset.blob
    assert asset.blob.read() == content
    assert asset.blob.sha256 == hashlib.sha256(content).hexdigest()
    assert not [r for r in server.requests if r.path.startswith("/dandi-dandisets/") and "authorization" in r.headers]
