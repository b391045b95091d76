"""What a sync made of Zarrs: gitlinks, `.gitmodules`, manifests, requests."""

from __future__ import annotations

from dandi_mirror.archive.zarr_entry import ZarrEntry
from dandi_mirror.embedded import Archive, Server, Zarr
from dandi_mirror.embedded.bucket.contents import etag_of, size_of
from dandi_mirror.embedded.bucket.own import Bucket
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.zarr.gitmodules import read_gitmodules
from dandi_mirror.mirror.zarr.state import zarr_state_of
from tests.conftest import MirrorOfTest
from tests.support import reading

PATH = "sub-0/x.ome.zarr"
OTHER = "sub-1/y.ome.zarr"
FILES = 3
"""Files beside the Zarrs."""


def commit_of(zarr: Zarr) -> str:
    """The commit of a Zarr's state as it is at S3 now."""
    entries = [ZarrEntry(path, size_of(content), etag_of(content)) for path, content in zarr.files.items()]
    return zarr_state_of(zarr.zarr_id, entries).commit


def own_bucket(archive: Archive) -> Bucket:
    assert isinstance(archive.bucket, Bucket)
    return archive.bucket


def gitlinks(mirror: MirrorOfTest, commit: str = "draft") -> dict[str, str]:
    return {path: oid for path, (mode, oid) in mirror.tree(commit).items() if mode == b"160000"}


def modules(mirror: MirrorOfTest, commit: str = "draft") -> dict[str, tuple[str, str]]:
    """Path → id and checksum of a Zarr."""
    (content,) = reading.contents(mirror.path / "000123", commit, [".gitmodules"]).values()
    return {path: (zarr.zarr_id, zarr.checksum) for path, zarr in read_gitmodules(content).items()}


def manifests(mirror: MirrorOfTest, zarr: Zarr) -> list[str]:
    return Mirror(mirror.path).manifests.states(zarr.zarr_id)


def asked(server: Server) -> list[str]:
    """The paths that were asked for, those of the bucket with the prefix; and they are forgotten."""
    found = []
    for request in server.requests:
        listing = request.path.startswith("/dandi-dandisets") and "versions" in request.query
        found.append("bucket" if listing else request.path.removeprefix("/api/"))
    server.requests.clear()
    return found
