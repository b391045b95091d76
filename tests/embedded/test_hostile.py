"""Records that are replayed, and records and paths that nobody should send."""

from __future__ import annotations

from typing import Any

import pytest

from dandi_mirror.embedded import Dandiset, Refused, Server
from tests.support.asking import get, paths_of, seed

# --- replayed list entries, hostile list entries

ENTRY: dict[str, Any] = {
    "asset_id": "363b6573-145f-481d-b0f5-06376d839c51",
    "blob": "985a4295-be82-4722-ae05-8ea2ba69c28d",
    "zarr": None,
    "path": "a.txt",
    "size": 17,
    "created": "2020-01-01T00:00:00Z",
    "modified": "2020-01-02T00:00:00.500000Z",
    "metadata": {
        "path": "a.txt",
        "contentUrl": ["https://api.example.org/x", "https://s3.example.org/y"],
        "digest": {"dandi:dandi-etag": "0-1", "dandi:sha2-256": "0" * 64, "dandi:md5": "1"},
        "other": 1.5,
    },
}


def test_a_replayed_list_entry_keeps_all_but_its_urls(server: Server, dandiset: Dandiset) -> None:
    dandiset.add_asset(entry=ENTRY)
    found = get(server, "/dandisets/000004/versions/draft/assets/?metadata=true").json()["results"][0]
    urls = found["metadata"].pop("contentUrl")
    wanted = {key: value for key, value in ENTRY["metadata"].items() if key != "contentUrl"}
    assert found == ENTRY | {"metadata": wanted}
    assert urls[0] == f"{server.api_url}/assets/{ENTRY['asset_id']}/download/"
    assert urls[1] == f"{server.origin}/dandi-dandisets/blobs/985/a42/{ENTRY['blob']}"
    assert get(server, urls[1]).status_code == 404


def test_a_verbatim_list_entry_keeps_everything_even_through_a_publication(server: Server, dandiset: Dandiset) -> None:
    dandiset.add_asset(entry=ENTRY, verbatim=True)
    dandiset.publish(unchecked=True)
    assert get(server, "/dandisets/000004/versions/draft/assets/?metadata=true").json()["results"] == [ENTRY]


@pytest.mark.parametrize(
    "metadata", [{}, [], "text", None, {"digest": 5}, {"digest": {"dandi:sha2-256": [1]}}, {"a": "\ud800"}]
)
def test_metadata_may_be_anything_json_can_hold(server: Server, dandiset: Dandiset, metadata: Any) -> None:
    dandiset.add_asset(entry=ENTRY | {"metadata": metadata}, verbatim=True, unchecked=True)
    found = get(server, "/dandisets/000004/versions/draft/assets/?metadata=true").json()["results"][0]
    assert found["metadata"] == metadata


@pytest.mark.parametrize("path", ["/abs", "a//b", "../x", "a\0b", "ünïcode", "dir/", "", "a:b", "x" * 600])
def test_hostile_paths_are_refused_unless_unchecked(server: Server, dandiset: Dandiset, path: str) -> None:
    blob = dandiset.archive.add_blob(b"x")
    with pytest.raises(Refused):
        dandiset.add_asset(path, blob)
    dandiset.add_asset(path, blob, unchecked=True)
    assert paths_of(server) == [path]


@pytest.mark.parametrize(
    "path",
    [".git/config", ".gitmodules", "dandiset.yaml", "a\nb", "trail.txt ", "-rf", "a[1]^_\\`", "x" * 260],
)
def test_paths_that_the_server_lets_in_are_let_in(server: Server, dandiset: Dandiset, path: str) -> None:
    dandiset.add_asset(path, dandiset.archive.add_blob(b"x"))
    assert paths_of(server) == [path]


def test_white_space_outside_ascii_is_the_servers_500(dandiset: Dandiset) -> None:
    with pytest.raises(Refused) as refusal:
        dandiset.add_asset("a\u00a0b.txt", dandiset.archive.add_blob(b"x"))
    assert refusal.value.status == 500


def test_no_path_is_both_a_file_and_a_folder(dandiset: Dandiset) -> None:
    seed(dandiset, "a.txt", "dir/x")
    for path, words in (("a.txt/x", "'a.txt'"), ("dir", "'dir/x'"), ("a.txt", "already exists")):
        with pytest.raises(Refused, match=words) as refusal:
            seed(dandiset, path)
        assert refusal.value.status == 409
    dandiset.delete_asset("dir/x")
    seed(dandiset, "dir")
