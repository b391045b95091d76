"""How a repository of a Zarr is written from manifests."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from dandi_mirror.archive.zarr_entry import ZarrEntry
from dandi_mirror.errors import IntegrityError, MirrorError
from dandi_mirror.mirror.zarr.annex_logs import Sources
from dandi_mirror.mirror.zarr.entries import in_order
from dandi_mirror.mirror.zarr.manifest_format import BadManifest
from dandi_mirror.mirror.zarr.manifests import Manifests
from dandi_mirror.mirror.zarr.repository import ZarrRepositories
from dandi_mirror.mirror.zarr.state import ZarrState, zarr_state_of
from tests.support.moments import killed_at
from tests.support.zarr_entries import ZARR, real_looking
from tests.support.zarr_repositories import check, git, refs

API = "https://api.example.org/api"
BASE = f"https://bucket.s3.amazonaws.com/zarr/{ZARR}/"
ELSEWHERE = Sources(API, BASE)


def with_manifests(mirror: Path, *states: list[ZarrEntry]) -> list[ZarrState]:
    """A mirror with the manifests of these states."""
    manifests = Manifests(mirror)
    return [manifests.add(ZARR, zarr_state_of(ZARR, entries).checksum, entries, "s3") for entries in states]


FIRST = list(real_looking(3000))
SECOND = in_order([*FIRST[1:], ZarrEntry("new", 3, "1" * 32, "v"), FIRST[0]._replace(etag="2" * 32)])


def branch(repository: Path) -> str:
    """The files of the git-annex branch with their ids."""
    return git(repository, "ls-tree", "-r", "git-annex")


def test_states_come_to_the_same_branch_at_once_and_one_by_one(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    (first,) = with_manifests(one, FIRST)
    ZarrRepositories(one).write(ZARR, first.checksum, ELSEWHERE)
    _, second = with_manifests(one, FIRST, SECOND)
    grown = ZarrRepositories(one).write(ZARR, second.checksum, ELSEWHERE)
    with_manifests(other, SECOND, FIRST)
    at_once = ZarrRepositories(other).write(ZARR, second.checksum, ELSEWHERE)
    check(grown)
    check(at_once)
    assert branch(grown) == branch(at_once)
    tags = {f"refs/tags/{state.checksum}": state.commit for state in (first, second)}
    for repository in (grown, at_once):
        found = refs(repository)
        assert found.pop("refs/heads/git-annex")
        assert found == {"refs/heads/draft": second.commit, **tags}
    assert int(git(grown, "rev-list", "--count", "git-annex")) == 2, "what was there before is still in its history"


def test_many_entries_are_sorted_by_parts_to_the_same_branch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trees = []
    for number, at_once in enumerate((250_000, 700)):
        monkeypatch.setattr("dandi_mirror.mirror.zarr.annex_logs.AT_ONCE", at_once)
        (state,) = with_manifests(tmp_path / str(number), FIRST)
        trees.append(refs(ZarrRepositories(tmp_path / str(number)).write(ZARR, state.checksum, ELSEWHERE)))
    assert trees[0] == trees[1]


def test_a_branch_goes_back_to_a_state_that_was_there_before(tmp_path: Path) -> None:
    first, second = with_manifests(tmp_path / "m", FIRST, SECOND)
    repositories = ZarrRepositories(tmp_path / "m")
    repositories.write(ZARR, second.checksum, ELSEWHERE)
    before = refs(repositories.path(ZARR).path)
    assert not repositories.is_current(ZARR, first.checksum)
    repositories.write(ZARR, first.checksum, ELSEWHERE)
    assert repositories.is_current(ZARR, first.checksum)
    assert refs(repositories.path(ZARR).path) == before | {"refs/heads/draft": first.commit}


def test_the_logs_name_no_bucket_that_is_not_known_and_none_under_embargo(tmp_path: Path) -> None:
    (state,) = with_manifests(tmp_path / "m", FIRST[:5])
    for number, sources in enumerate((Sources(API, None), Sources(API, BASE, embargoed=True))):
        mirror = tmp_path / str(number)
        with_manifests(mirror, FIRST[:5])
        repository = ZarrRepositories(mirror).write(ZARR, state.checksum, sources)
        found = git(repository, "grep", "-h", "http", "git-annex")
        assert "amazonaws" not in found and f"{API}/zarr/{ZARR}/files/?prefix=0%2F0" in found
        assert ("dandi-embargoed" in found) is sources.embargoed


def test_a_damaged_manifest_gives_no_repository(tmp_path: Path) -> None:
    (state,) = with_manifests(tmp_path / "m", FIRST)
    manifests = Manifests(tmp_path / "m")
    other = Manifests(tmp_path / "n")
    forged = zarr_state_of(ZARR, SECOND)
    other.add(ZARR, forged.checksum, SECOND, "s3")
    # a forged one: the header of one state, the entries of another
    header = manifests.path(ZARR, state.checksum).path.read_bytes()
    body = other.path(ZARR, forged.checksum).path.read_bytes()
    length = 8 + int.from_bytes(header[4:8], "little")
    manifests.path(ZARR, state.checksum).path.write_bytes(
        header[:length] + body[8 + int.from_bytes(body[4:8], "little") :]
    )
    with pytest.raises(BadManifest, match="remove this file"):
        ZarrRepositories(tmp_path / "m").write(ZARR, state.checksum, ELSEWHERE)
    assert not list((tmp_path / "m/zarr/0c1/f3f").glob("*.git*")) and not list((tmp_path / "m/zarr/0c1/f3f").glob(".*"))


CALLS = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "subprocess.Popen", "shutil.rmtree"}
"""Moments at which the writing of a repository is killed."""


@pytest.mark.parametrize("grown", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_killed_at_any_moment_there_is_the_old_or_the_new_repository(tmp_path: Path, grown: bool) -> None:
    some, other = FIRST[:30], SECOND[1:31]
    seen, moment, killed = set(), 0, True
    while killed and moment < 200:
        moment += 1 if moment < 5 else 3
        mirror = tmp_path / str(moment)
        (old,) = with_manifests(mirror, some)
        repositories = ZarrRepositories(mirror)
        if grown:
            repositories.write(ZARR, old.checksum, ELSEWHERE)
        new = with_manifests(mirror, other)[0] if grown else old
        killed = killed_at(moment, CALLS, partial(repositories.write, ZARR, new.checksum, ELSEWHERE))
        repository = repositories.path(ZARR).path
        if repository.exists():
            check(repository)
            found = refs(repository)
            whole = {"refs/heads/draft": new.commit, f"refs/tags/{new.checksum}": new.commit}
            assert found.items() >= whole.items() or (grown and found["refs/heads/draft"] == old.commit)
            seen.add(found["refs/heads/draft"] == new.commit)
        else:
            assert not grown
            seen.add(False)
        repositories.write(ZARR, new.checksum, ELSEWHERE)
        check(repository)
        assert refs(repository)["refs/heads/draft"] == new.commit
        assert [path.name for path in repository.parent.iterdir() if path.name.startswith(".")] == []
    assert seen == {False, True} and not killed


@pytest.mark.parametrize("lost", ["HEAD", "config", "objects/info"])
def test_git_never_takes_the_repository_above_for_one_that_is_damaged(tmp_path: Path, lost: str) -> None:
    (state,) = with_manifests(tmp_path / "m", FIRST[:5])
    repositories = ZarrRepositories(tmp_path / "m")
    repository = repositories.write(ZARR, state.checksum, ELSEWHERE)
    (repository / lost).rename(tmp_path / "lost")
    git(tmp_path / "m", "init", "--quiet")
    (_, new) = with_manifests(tmp_path / "m", FIRST[:5], FIRST[:6])
    for checksum in (state.checksum, new.checksum):
        with pytest.raises(IntegrityError, match="remove it, and a sync or a get makes it again"):
            repositories.write(ZARR, checksum, ELSEWHERE)
    assert refs(tmp_path / "m") == {}


def test_a_link_in_place_of_the_repository_is_not_followed(tmp_path: Path) -> None:
    (state,) = with_manifests(tmp_path / "m", FIRST[:5])
    repositories = ZarrRepositories(tmp_path / "m")
    (tmp_path / "elsewhere").mkdir()
    repositories.path(ZARR).path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MirrorError, match="is a link"):
        repositories.write(ZARR, state.checksum, ELSEWHERE)
    assert list((tmp_path / "elsewhere").iterdir()) == []
