"""A mirror served as an archive: what knows DANDI reads it, and a mirror that is made of it has the same tags."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from dandi_mirror.archive.instances import token_variable
from dandi_mirror.embedded import Archive, Dandiset
from tests.conftest import MirrorOfTest, run
from tests.support.credentials import TOKEN
from tests.support.dandi_client import dandi, files
from tests.support.dandisets import seed
from tests.support.serving_mirrors import asset_ids, get, served
from tests.support.zarrs import SMALL, a_zarr

V1 = "0.240101.0000"
PATH = "sub-1/sub-1_ses-1_ecephys.nwb"


@pytest.fixture
def rich(archive: Archive, mirror: MirrorOfTest) -> Dandiset:
    """A Dandiset with text, a refused path, a published version, and a Zarr in its draft; it is mirrored."""
    dandiset = seed(archive)
    dandiset.add_asset("README.md", archive.add_blob(b"# Read me\n"))
    dandiset.add_asset("sub-0/.gitattributes", archive.add_blob(b"a name of git"))
    dandiset.publish(V1)
    dandiset.add_asset("sub-9/late.nwb", archive.add_blob(b"late"))
    a_zarr(dandiset, "sub-9/img.zarr")
    mirror.cli("sync", "000123", code=3)
    return dandiset


def same(answer: object, address: str, archive_address: str) -> object:
    """An answer without what a mirror does not know: ids of blobs, times of checks, numbers of the database."""
    unknown = {
        "blob",
        "modified",
        "manifestLocation",
        "contentUrl",
        "contact_person",
        "release_notes",
        "created",
        "url",
    }
    unknown |= {"version", "status"} if isinstance(answer, dict) and "aggregate_files" in answer else set()
    if isinstance(answer, dict):
        return {k: same(v, address, archive_address) for k, v in answer.items() if k not in unknown}
    if isinstance(answer, list):
        return [same(value, address, archive_address) for value in answer]
    # a mirror writes times in UTC in one way (docs/format.md)
    return answer.replace(archive_address, address).replace("+00:00", "Z") if isinstance(answer, str) else answer


def test_a_mirror_of_the_served_mirror_has_the_same_tags_and_the_same_draft(
    rich: Dandiset, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    with served(mirror) as address:
        done = run("dandi-mirror", "sync", "000123", "-d", str(tmp_path / "second"), "-i", address, code=None)
        assert done.returncode == 3, done.stdout + done.stderr  # the refused path, as in the first mirror
    second = MirrorOfTest(tmp_path / "second", mirror.server)
    assert second.refs()[f"refs/tags/{V1}"] == mirror.refs()[f"refs/tags/{V1}"]
    assert second.git("rev-parse", "draft^{tree}") == mirror.git("rev-parse", "draft^{tree}")


@pytest.fixture
def published(archive: Archive, mirror: MirrorOfTest) -> dict[str, int]:
    """A Dandiset with four published versions, a refused path in each; how many assets each has."""
    dandiset = seed(archive)
    dandiset.add_asset("sub-0/.gitattributes", archive.add_blob(b"a name of git"))
    counts = {}
    for number in range(1, 5):
        dandiset.add_asset(f"sub-9/{number}.nwb", archive.add_blob(b"late" * number))
        counts[f"0.24010{number}.0000"] = len(list(dandiset.draft))
        dandiset.publish(f"0.24010{number}.0000")
    mirror.cli("sync", "000123", code=3)
    return counts


def test_all_published_versions_of_a_served_mirror_can_be_mirrored(
    published: dict[str, int], mirror: MirrorOfTest, tmp_path: Path
) -> None:
    there = mirror.server.api_url
    with served(mirror) as address:
        rows = get(address, "/dandisets/000123/versions/")["results"]  # type: ignore[index]
        assert {row["version"]: row["asset_count"] for row in rows if row["version"] != "draft"} == published
        for version in published:
            path = f"/dandisets/000123/versions/{version}/info/"
            assert same(get(address, path), address, there) == same(get(there, path), address, there), version
        done = run("dandi-mirror", "sync", "000123", "-d", str(tmp_path / "second"), "-i", address, code=None)
    assert done.returncode == 3, done.stdout + done.stderr  # the refused path, as in the first mirror
    tags = {ref: oid for ref, oid in mirror.refs().items() if ref.startswith("refs/tags/")}
    second = MirrorOfTest(tmp_path / "second", mirror.server).refs()
    assert len(tags) == len(published) and {ref: second.get(ref) for ref in tags} == tags


ASKED: list[tuple[str, dict[str, str]]] = [
    ("/dandisets/", {}),
    ("/dandisets/", {"search": "nothing"}),
    ("/dandisets/000123/", {}),
    ("/dandisets/000123/versions/", {}),
    ("/dandisets/000123/versions/", {"order": "-created"}),
    ("/dandisets/000123/versions/draft/", {}),
    (f"/dandisets/000123/versions/{V1}/", {}),
    (f"/dandisets/000123/versions/{V1}/info/", {}),
    (f"/dandisets/000123/versions/{V1}/assets/", {"order": "path", "metadata": "true"}),
    ("/dandisets/000123/versions/draft/assets/", {"order": "-path", "page_size": "2", "page": "2"}),
    ("/dandisets/000123/versions/draft/assets/", {"path": "sub-1", "order": "path"}),
    ("/dandisets/000123/versions/draft/assets/", {"glob": "*1*.nwb"}),
    ("/dandisets/000123/versions/draft/assets/", {"zarr": "true"}),
    (f"/dandisets/000123/versions/{V1}/assets/paths/", {}),
    (f"/dandisets/000123/versions/{V1}/assets/paths/", {"path_prefix": "sub-1/"}),
    (f"/dandisets/000123/versions/{V1}/assets/paths/", {"path_prefix": "README.md"}),
    ("/zarr/", {"dandiset": "000123"}),
]


def test_the_served_mirror_answers_as_the_archive_does(rich: Dandiset, mirror: MirrorOfTest) -> None:
    there = mirror.server.api_url
    with served(mirror) as address:
        for path, parameters in ASKED:
            ours, theirs = get(address, path, **parameters), get(there, path, **parameters)
            assert same(ours, address, there) == same(theirs, address, there), (path, parameters)


def test_what_is_not_there_is_not_found_and_a_wrong_page_is_none(rich: Dandiset, mirror: MirrorOfTest) -> None:
    zero = "00000000-0000-4000-8000-000000000000"
    with served(mirror) as address:
        for path in ("/dandisets/000999/", "/dandisets/..%2F000123/", f"/assets/{zero}/", f"/zarr/{zero}/files/",
                     "/dandisets/000123/versions/0.1.2/assets/", "/dandisets/?page=9",
                     "/dandisets/000123/versions/draft/assets/paths/?path_prefix=x", "/nothing/"):  # fmt: skip
            assert requests.get(address + path, timeout=60).status_code == 404, path
        for method in ("POST", "PUT", "DELETE"):
            assert requests.request(method, f"{address}/dandisets/", timeout=60).status_code == 405


def test_an_embargoed_dandiset_is_not_served(archive: Archive, rich: Dandiset, mirror: MirrorOfTest) -> None:
    asset = next(iter(rich.draft)).asset_id
    rich.set_embargo("EMBARGOED")
    archive.add_user("me@example.org", TOKEN, admin=True)
    mirror.cli("sync", "000123", "--embargoed", env={token_variable(mirror.server.api_url): TOKEN}, code=3)
    assert mirror.git("log", "-1", "--format=%(trailers:key=Dandi-Embargo)", "draft").strip()
    with served(mirror) as address:
        assert get(address, "/dandisets/")["count"] == 0  # type: ignore[index]
        for path in ("/dandisets/000123/", "/dandisets/000123/versions/draft/assets/", f"/assets/{asset}/download/"):
            assert requests.get(address + path, timeout=60).status_code == 404


def test_content_that_is_here_is_sent_from_disk_with_ranges_and_other_content_is_where_the_archive_has_it(
    rich: Dandiset, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    path = PATH
    run("dandi-mirror", "get", path, cwd=mirror.path / "000123", env={})
    with served(mirror, "--redirect") as address:
        ids = asset_ids(address)
        mirror.server.requests.clear()
        url = f"{address}/assets/{ids[path]}/download/"
        assert requests.get(url, timeout=60).content == b"content 1"
        part = requests.get(url, headers={"Range": "bytes=2-4"}, timeout=60)
        assert (part.status_code, part.content) == (206, b"nte")
        assert requests.get(f"{address}/assets/{ids['README.md']}/download/", timeout=60).content == b"# Read me\n"
        assert mirror.server.requests == []
        away = requests.get(f"{address}/assets/{ids['sub-9/late.nwb']}/download/", timeout=60, allow_redirects=False)
        assert away.status_code == 302 and away.headers["location"].startswith(mirror.server.origin)
    with served(mirror, "--offline") as address:
        away = requests.get(f"{address}/assets/{ids['sub-9/late.nwb']}/download/", timeout=60)
        assert (away.status_code, away.json()["detail"]) == (
            404, "The content of this file is not in this mirror, and the server runs offline.",
        )  # fmt: skip


def test_a_link_in_the_place_of_content_is_not_followed(rich: Dandiset, mirror: MirrorOfTest, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"content 1")
    run("dandi-mirror", "get", PATH, cwd=mirror.path / "000123", env={})
    content = (mirror.path / "000123" / PATH).resolve()
    content.parent.chmod(0o755)
    content.unlink()
    content.symlink_to(secret)
    with served(mirror, "--offline") as address:
        url = f"{address}/dandisets/000123/versions/draft/assets/?path={PATH}"
        (row,) = requests.get(url, timeout=60).json()["results"]
        assert requests.get(f"{address}/assets/{row['asset_id']}/download/", timeout=60).status_code == 404


def test_entries_of_a_zarr_are_listed_page_by_page_and_fetched(rich: Dandiset, mirror: MirrorOfTest) -> None:
    with served(mirror) as address:
        (zarr,) = get(address, "/zarr/", dandiset="000123")["results"]  # type: ignore[index]
        url, found = f"{address}/zarr/{zarr['zarr_id']}/files/?limit=1", []
        while url:
            page = requests.get(url, timeout=60).json()
            found += [(entry["Key"], entry["Size"], entry["ETag"]) for entry in page["results"]]
            url = page["next"]
        theirs = get(mirror.server.api_url, f"/zarr/{zarr['zarr_id']}/files/")
        assert found == [(e["Key"], e["Size"], e["ETag"]) for e in theirs["results"]]  # type: ignore[index]
        key = found[0][0]
        content = requests.get(
            f"{address}/zarr/{zarr['zarr_id']}/files/?prefix={key}&download=true", timeout=60
        ).content
        assert content == SMALL[key]


def test_the_dandi_client_downloads_from_a_served_mirror(rich: Dandiset, mirror: MirrorOfTest, tmp_path: Path) -> None:
    run("dandi-mirror", "get", ".", cwd=mirror.path / "000123", code=None)
    with served(mirror, "--offline") as address:
        url = f"{address}/dandisets/000123/versions/{V1}/assets/?path=sub-1/"
        done = dandi(tmp_path, "download", "--preserve-tree", url)
        assert done.returncode == 0, done.stdout + done.stderr
    assert files(tmp_path)["000123/sub-1/sub-1_ses-1_ecephys.nwb"] == b"content 1"


def test_a_name_by_which_nobody_named_the_server_is_refused(rich: Dandiset, mirror: MirrorOfTest) -> None:
    with served(mirror) as address:
        refused = requests.get(f"{address}/info/", headers={"Host": "evil.example.org"}, timeout=60)
        assert refused.status_code == 421 and "instance" not in refused.text
        asked = {"Origin": "https://neurosift.app", "Access-Control-Request-Private-Network": "true"}
        preflight = requests.options(f"{address}/info/", headers=asked, timeout=60)
        assert preflight.headers["access-control-allow-private-network"] == "true"
        answer = requests.get(f"{address}/info/", headers={"Origin": "https://neurosift.app"}, timeout=60)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers


def test_behind_a_proxy_the_server_answers_under_the_name_that_it_was_given(
    rich: Dandiset, mirror: MirrorOfTest
) -> None:
    with served(mirror) as plain, served(mirror, "--name", "data.example.org") as address:
        assert address == "http://data.example.org/api"
        assert get(plain, "/info/")["services"]["api"]["url"] == plain  # type: ignore[index]


def test_an_empty_folder_cannot_be_served(tmp_path: Path) -> None:
    assert "holds no Dandiset" in run("dandi-mirror", "serve", "-d", str(tmp_path), code=2).stderr
