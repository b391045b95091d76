"""A large first sync writes while it reads; what comes of it is what comes of a small one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.responses import Response

from dandi_mirror.demo.replay import play, read_history
from dandi_mirror.embedded import Archive, Dandiset, Request, Server
from dandi_mirror.mirror.sync import steps
from dandi_mirror.repo.annex import branch
from tests.conftest import MirrorOfTest
from tests.support.corpus import HISTORIES
from tests.support.dandisets import participant, seed


@pytest.fixture
def early(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Callable[[], MirrorOfTest]:
    """From its call on, every first sync is taken for a large one; gives the mirror to try it with."""

    def begin() -> MirrorOfTest:
        monkeypatch.setattr(steps, "LARGE", 0)
        return MirrorOfTest(tmp_path / "early", server)

    return begin


def many_kinds(archive: Archive) -> Dandiset:
    """Content at two paths and in two versions, text, a refused path, a file that is a folder, a changed record."""
    dandiset = seed(archive, files=4)
    dandiset.publish("0.240101.0000", created="2024-01-01T00:00:00Z")
    dandiset.add_asset("copy/of-1.nwb", archive.add_blob(b"content 1"), metadata=participant("m9"))
    dandiset.delete_asset("sub-2/sub-2_ses-1_ecephys.nwb")
    dandiset.add_asset("README.md", archive.add_blob(b"# words\n"))
    dandiset.add_asset(".git/config", archive.add_blob(b"evil"), unchecked=True)
    dandiset.add_asset("both", archive.add_blob(b"a file"), unchecked=True)
    dandiset.add_asset("both/below.nwb", archive.add_blob(b"in a folder"), unchecked=True)
    return dandiset


@pytest.mark.parametrize("names", [4, branch.MOST_NAMES], ids=["one git after another", "one git"])
def test_every_ref_is_that_of_a_sync_which_read_all_before_it_wrote(
    archive: Archive,
    mirror: MirrorOfTest,
    early: Callable[[], MirrorOfTest],
    monkeypatch: pytest.MonkeyPatch,
    names: int,
) -> None:
    monkeypatch.setattr(branch, "MOST_NAMES", names)
    many_kinds(archive)
    plain = mirror.sync()
    other = early()
    report = other.sync()
    assert (report.commit, report.findings) == (plain.commit, plain.findings)
    assert other.refs() == mirror.refs()
    assert other.git("fsck", "--strict", "--no-dangling") == ""
    assert other.sync().status == "notneeded"


@pytest.mark.parametrize("dandiset", HISTORIES)
def test_real_dandisets_have_the_same_refs_too(
    archive: Archive, mirror: MirrorOfTest, early: Callable[[], MirrorOfTest], dandiset: str
) -> None:
    for _ in play(archive, read_history(HISTORIES[dandiset])):
        pass
    mirror.sync(dandiset)
    other = early()
    other.sync(dandiset)
    assert other.refs(dandiset) == mirror.refs(dandiset)


def test_what_was_seen_of_a_listing_that_did_not_hold_still_leaves_nothing_behind(
    archive: Archive, mirror: MirrorOfTest, early: Callable[[], MirrorOfTest]
) -> None:
    dandiset = many_kinds(archive)
    changes = iter([True])

    def replacing(request: Request) -> None:
        # behind the answer that is being made: the list entries that were read say what is no more
        if request.path == "/api/dandisets/000123/" and seen and next(changes, None):
            dandiset.delete_asset("sub-0/sub-0_ses-1_ecephys.nwb")
            dandiset.delete_asset("sub-1/sub-1_ses-1_ecephys.nwb")
            dandiset.add_asset("sub-1/sub-1_ses-1_ecephys.nwb", archive.add_blob(b"another"))
        seen.extend([1] * request.path.endswith("/draft/assets/"))

    seen: list[int] = []
    other = early()
    other.server.intercept = replacing
    report = other.sync()
    assert (report.status, next(changes, None)) == ("ok", None)
    other.server.intercept = None
    mirror.sync()
    assert other.refs() == mirror.refs()


def test_a_listing_that_breaks_off_leaves_nothing_and_the_next_run_is_whole(
    archive: Archive, mirror: MirrorOfTest, early: Callable[[], MirrorOfTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    many_kinds(archive)
    mirror.sync()
    other = early()
    monkeypatch.setattr("dandi_mirror.archive.api.client.PAGE", 2)

    def breaking(request: Request) -> Response | None:
        return Response("no", 500) if request.params.get("page") == "2" and "assets" in request.path else None

    other.server.intercept = breaking
    assert other.sync().exit_code == 5
    assert not (other.path / "000123").exists()
    other.server.intercept = None
    assert other.sync().status == "ok"
    assert other.refs() == mirror.refs()


def test_very_many_logs_are_joined_to_those_of_the_branch(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dandiset = many_kinds(archive)
    other = MirrorOfTest(tmp_path / "other", mirror.server)
    mirror.sync()
    other.sync()
    for number in range(8):
        dandiset.add_asset(f"new/{number}.nwb", archive.add_blob(b"new %d" % number), metadata=participant("m1"))
    dandiset.delete_asset("sub-0/sub-0_ses-1_ecephys.nwb")
    mirror.sync()
    monkeypatch.setattr(branch, "MANY", 1)
    monkeypatch.setattr(branch, "MOST_NAMES", 5)
    other.sync()
    assert other.refs() == mirror.refs()
