"""Stock git-annex in a repository of a Zarr."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from starlette.responses import Response

from dandi_mirror.archive.zarr_entry import ZarrEntry
from dandi_mirror.embedded import Archive, Dandiset, Request, Server, Zarr
from dandi_mirror.embedded.bucket.contents import etag_of, size_of
from dandi_mirror.mirror.zarr.annex_logs import Sources
from dandi_mirror.mirror.zarr.manifests import Manifests
from dandi_mirror.mirror.zarr.repository import ZarrRepositories
from dandi_mirror.mirror.zarr.state import ZarrState, dataset_id
from dandi_mirror.repo.git.programs import VERIFIES_PARTS
from tests.conftest import run
from tests.support.datalad import quiet
from tests.support.versions import needs_git_annex
from tests.support.zarr_repositories import check, git, refs
from tests.support.zarrs import SMALL, a_zarr, change, in_parts, rewrite


@dataclass
class Mirrored:
    """A Zarr of the archive, and a mirror that lists it as a sync does."""

    path: Path
    zarr: Zarr
    server: Server

    @property
    def sources(self) -> Sources:
        bucket = self.zarr.dandiset.archive.bucket.url
        return Sources(self.server.api_url, f"{bucket}/{self.zarr.key}")

    @property
    def place(self) -> Path:
        return ZarrRepositories(self.path).path(self.zarr.zarr_id).path

    def list(self) -> ZarrState:
        """Write the manifest of the Zarr as it is now."""
        files = self.zarr.files
        entries = [
            ZarrEntry(path, size_of(content), etag_of(content), newest.version_id)
            for path, content in files.items()
            if (newest := files.newest(path))
        ]
        assert self.zarr.checksum
        return Manifests(self.path).add(self.zarr.zarr_id, self.zarr.checksum, entries, "s3")

    def write(self) -> Path:
        """Write the repository, at the newest state."""
        state = self.list()
        path = ZarrRepositories(self.path).write(self.zarr.zarr_id, state.checksum, self.sources)
        assert path == self.place and git(path, "rev-parse", "draft") == state.commit
        return path


@pytest.fixture
def dandiset(archive: Archive) -> Dandiset:
    return archive.create_dandiset("000123", name="A test")


@pytest.fixture
def mirrored(tmp_path: Path, dandiset: Dandiset, server: Server) -> Mirrored:
    return Mirrored(tmp_path / "mirror", a_zarr(dandiset, "sub-1/x.ome.zarr"), server)


def clone(repository: Path, folder: Path) -> Path:
    quiet("datalad", "clone", str(repository), str(folder), cwd=folder.parent)
    return folder


def content(zarr: Zarr, path: str) -> bytes:
    """The bytes of one file of the archive's Zarr."""
    found = zarr.files[path]
    assert isinstance(found, bytes)
    return found


def test_stock_tools_work_in_a_clone_without_any_set_up(mirrored: Mirrored, tmp_path: Path) -> None:
    repository = mirrored.write()
    check(repository)
    before = refs(repository)
    mirrored.server.requests.clear()
    copy = clone(repository, tmp_path / "clone")
    assert str(dataset_id(mirrored.zarr.zarr_id)) in (copy / ".datalad/config").read_text()
    quiet("datalad", "get", ".", cwd=copy)
    for path in SMALL:
        assert (copy / path).read_bytes() == content(mirrored.zarr, path)
    asked = [request for request in mirrored.server.requests if "/zarr/" in request.path]
    assert len(asked) >= len(SMALL)
    assert all("versionId" in request.query for request in asked), "the exact objects were asked for, and not the API"
    quiet("git", "annex", "fsck", "--quiet", cwd=copy)
    told = quiet("git", "annex", "whereis", "arr/1 a/0", cwd=copy)
    assert "web" in told and "versionId=" in told
    assert f"/zarr/{mirrored.zarr.zarr_id}/files/?prefix=arr%2F1%20a%2F0" in told
    quiet("datalad", "drop", ".", cwd=copy)
    assert "nothing to save" in quiet("datalad", "status", cwd=copy)
    assert refs(repository) == before, "the clone changed nothing in the mirror"


def test_a_get_falls_back_to_the_api_when_s3_fails(mirrored: Mirrored, tmp_path: Path) -> None:
    copy = clone(mirrored.write(), tmp_path / "clone")
    first = []

    def no_plain_s3(request: Request) -> Response | None:
        if "versionId" in request.query:
            first.append(request.path)
            return Response("gone", 403)
        return None

    mirrored.server.intercept = no_plain_s3
    run("datalad", "get", "arr/%2e", cwd=copy)
    assert (copy / "arr/%2e").read_bytes() == SMALL["arr/%2e"]
    assert first, "S3 was asked first"


def test_the_state_before_is_still_there_and_its_content_too(mirrored: Mirrored, tmp_path: Path) -> None:
    old = mirrored.list()
    repository = mirrored.write()
    packs = len(list((repository / "objects/pack").glob("*.pack")))
    change(mirrored.zarr, {"arr/0/0": b"new" * 3000, "arr/0/1": None})
    new = mirrored.list()
    assert mirrored.write() == repository
    check(repository)
    assert {refs(repository)[f"refs/tags/{state.checksum}"] for state in (old, new)} == {old.commit, new.commit}
    assert len(list((repository / "objects/pack").glob("*.pack"))) <= packs + 1
    copy = clone(repository, tmp_path / "clone")
    quiet("datalad", "get", ".", cwd=copy)
    assert (copy / "arr/0/0").read_bytes() == b"new" * 3000 and not os.path.lexists(copy / "arr/0/1")
    git(copy, "checkout", "--quiet", old.checksum)
    quiet("datalad", "get", ".", cwd=copy)
    assert (copy / "arr/0/0").read_bytes() == SMALL["arr/0/0"], "overwritten at S3, and still there by its version"
    quiet("git", "annex", "fsck", "--quiet", cwd=copy)


def test_a_repository_that_is_current_is_not_touched(mirrored: Mirrored) -> None:
    repository = mirrored.write()
    before = {path: path.stat().st_mtime_ns for path in repository.rglob("*")}
    mirrored.write()
    rewrite(mirrored.zarr)
    mirrored.write()
    assert {path: path.stat().st_mtime_ns for path in repository.rglob("*")} == before


def test_what_others_have_recorded_in_the_branch_is_kept(mirrored: Mirrored, tmp_path: Path) -> None:
    repository = mirrored.write()
    copy = clone(repository, tmp_path / "clone")
    quiet("datalad", "get", "arr/0/0", cwd=copy)
    git(copy, "config", "remote.dandiapi.annex-verified", "verified")  # what git annex verifyremote writes
    git(copy, "push", "--quiet", "origin", "git-annex")
    uuid = git(copy, "config", "annex.uuid")
    change(mirrored.zarr, {"arr/0/1": b"other"})
    mirrored.write()
    check(repository)
    logs = git(repository, "grep", "-h", uuid, "git-annex")
    assert len(logs.splitlines()) >= 2, "its name, and where the content is"
    fetched = clone(repository, tmp_path / "second")
    quiet("datalad", "get", ".", cwd=fetched)
    assert (fetched / "arr/0/1").read_bytes() == b"other"


@pytest.fixture
def with_parts(tmp_path: Path, dandiset: Dandiset, server: Server) -> Path:
    """A clone of a Zarr of which one entry was sent in parts, with its content."""
    large = bytes(range(256)) * 20
    zarr = a_zarr(dandiset, "x.zarr", {"zarr.json": b"{}", "c/0": in_parts(large, 1000)})
    copy = clone(Mirrored(tmp_path / "mirror", zarr, server).write(), tmp_path / "clone")
    assert (copy / "c/0").readlink().name == f"VURL-s5120--{etag_of(zarr.files['c/0'])}"
    quiet("datalad", "get", ".", cwd=copy)
    assert (copy / "c/0").read_bytes() == large
    return copy


def test_an_entry_that_was_sent_in_parts_comes_with_every_git_annex(with_parts: Path) -> None:
    run("git", "annex", "fsck", "--quiet", cwd=with_parts)
    run("git", "annex", "drop", "--quiet", "c/0", cwd=with_parts)


@needs_git_annex(VERIFIES_PARTS, "an older one skips such keys: unknown backend VURL")
def test_an_entry_that_was_sent_in_parts_is_verified_after_its_first_get(with_parts: Path) -> None:
    quiet("git", "annex", "fsck", "--quiet", cwd=with_parts)
    place = (with_parts / "c/0").resolve()
    place.chmod(0o644)
    place.write_bytes(b"x" * 5120)
    assert "Bad file content" in run("git", "annex", "fsck", "c/0", cwd=with_parts, code=1).stderr


def test_entries_that_may_not_reach_git_are_not_in_a_clone(tmp_path: Path, dandiset: Dandiset, server: Server) -> None:
    files = {"a": b"1", ".git/config": b"2", "b/x\ny": b"3", "b/.gitmodules": b"4", "-c": b"5", "é 日/\"'": b"6"}
    mirrored = Mirrored(tmp_path / "mirror", a_zarr(dandiset, "x.zarr", files), server)
    assert mirrored.list().refused == 3
    copy = clone(mirrored.write(), tmp_path / "clone")
    quiet("datalad", "get", ".", cwd=copy)
    paths = git(copy, "ls-files", "-z").split("\0")[:-1]
    assert {path for path in paths if not path.startswith((".d", ".g"))} == {"a", "-c", "é 日/\"'"}
    assert (copy / "é 日/\"'").read_bytes() == b"6"
