"""The repositories of a served mirror: git, git-annex and DataLad clone them; nothing else of the mirror is shown."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from dandi_mirror.archive.instances import token_variable
from dandi_mirror.embedded import Archive, Dandiset
from dandi_mirror.mirror.zarr.repository import repository_path
from tests.conftest import MirrorOfTest, run
from tests.support.credentials import TOKEN
from tests.support.dandisets import seed
from tests.support.serving_mirrors import served
from tests.support.zarrs import SMALL, a_zarr

V1, V2 = "0.240101.0000", "0.240102.0000"
PATH = "sub-1/sub-1_ses-1_ecephys.nwb"
HIDDEN = [
    "000123/index", "000123/logs/HEAD", "000123/packed-refs", "000123/description", "000123/hooks/x", "000999/HEAD",
    "000123/annex/index", "000123/.git/.git/config", "000123/refs/heads/draft", ".dandi-mirror/index.sqlite", "",
    "000123/objects/..%2F..%2Fconfig", "000123/dandiset.yaml",
    "000123/annex/objects/aa/bb/..%2f/..%2f", "dandi-mirror.toml", "zarr/000/000/x.git/HEAD",
]  # fmt: skip


@pytest.fixture
def dandiset(archive: Archive, mirror: MirrorOfTest) -> Dandiset:
    """A Dandiset with a version and a Zarr; it is mirrored, with the content of one file."""
    dandiset = seed(archive)
    a_zarr(dandiset, "sub-9/img.zarr")
    dandiset.publish(V1)
    mirror.cli("sync", "000123")
    run("dandi-mirror", "get", PATH, cwd=mirror.path / "000123", env={})
    return dandiset


def git_of(address: str) -> str:
    return address.removesuffix("/api") + "/git"


def test_git_clones_a_dandiset_and_fetches_what_is_new(
    dandiset: Dandiset, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    with served(mirror) as address:
        run("git", "clone", "-q", f"{git_of(address)}/000123", str(tmp_path / "clone"))
        tags = run("git", "-C", str(tmp_path / "clone"), "show-ref", "--tags", "-d").stdout
        assert tags == mirror.git("show-ref", "--tags", "-d") + "\n"
        assert (
            run("git", "-C", str(tmp_path / "clone"), "rev-parse", "HEAD").stdout.strip()
            == mirror.refs()["refs/heads/draft"]
        )
        run("git", "-C", str(tmp_path / "clone"), "fsck", "--full")
        dandiset.add_asset("sub-9/late.nwb", dandiset.archive.add_blob(b"late"))
        dandiset.publish(V2)
        mirror.cli("sync", "000123")
        run("git", "-C", str(tmp_path / "clone"), "pull", "-q")
        assert (
            run("git", "-C", str(tmp_path / "clone"), "rev-parse", V2).stdout.strip()
            == mirror.refs()[f"refs/tags/{V2}"]
        )


def test_datalad_clones_it_and_gets_content_from_the_mirror(
    dandiset: Dandiset, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    with served(mirror, "--offline") as address:
        mirror.server.requests.clear()
        run("datalad", "clone", f"{git_of(address)}/000123", str(tmp_path / "clone"))
        run("git", "-C", str(tmp_path / "clone"), "annex", "get", "--from", "origin", PATH)
        assert (tmp_path / "clone" / PATH).read_bytes() == b"content 1"
        assert mirror.server.requests == []


def test_the_superdataset_leads_to_all_and_to_the_zarrs(
    dandiset: Dandiset, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    with served(mirror) as address:
        run("datalad", "clone", git_of(address), str(tmp_path / "all"))
        run("datalad", "-C", str(tmp_path / "all"), "get", "-n", "000123/sub-9/img.zarr")
        zarr = tmp_path / "all" / "000123" / "sub-9" / "img.zarr"
        assert {path.relative_to(zarr).as_posix() for path in zarr.rglob("*") if path.is_symlink()} | {
            ".zgroup"
        } >= set(SMALL)


def test_nothing_but_objects_and_what_syncs_made_is_shown(dandiset: Dandiset, mirror: MirrorOfTest) -> None:
    mirror.git("remote", "add", "backup", "https://me:secret@store.example.org/x")
    mirror.git("branch", "mine", "draft")
    own = mirror.path / ".dandi-mirror" / "index.sqlite"
    assert own.exists()
    with served(mirror) as address:
        place = git_of(address)
        assert "mine" not in requests.get(f"{place}/000123/info/refs", timeout=60).text
        for path in ("000123/config", "config"):
            sent = requests.get(f"{place}/{path}", timeout=60)
            assert sent.status_code == 200 and "secret" not in sent.text
        assert "uuid = " in requests.get(f"{place}/000123/config", timeout=60).text
        for path in HIDDEN:
            assert requests.get(f"{place}/{path}", timeout=60).status_code == 404, path


def test_a_link_in_the_place_of_an_object_is_not_followed(
    dandiset: Dandiset, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    (secret := tmp_path / "secret").write_bytes(b"secret")
    place = mirror.path / "000123" / ".git" / "objects"
    (place / "ab").mkdir(exist_ok=True)
    (place / "ab" / ("c" * 38)).symlink_to(secret)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / ("d" * 38)).write_bytes(b"secret")
    free = next(f"{n:02x}" for n in range(256) if not (place / f"{n:02x}").exists())
    (place / free).symlink_to(tmp_path / "folder")
    with served(mirror) as address:
        for name in (f"ab/{'c' * 38}", f"{free}/{'d' * 38}"):
            answer = requests.get(f"{git_of(address)}/000123/objects/{name}", timeout=60)
            assert answer.status_code in {404, 500} and answer.content != b"secret"  # git itself may refuse it first


def test_an_embargoed_dandiset_is_not_shown_nor_one_whose_history_began_so(
    archive: Archive, dandiset: Dandiset, mirror: MirrorOfTest
) -> None:
    dandiset.set_embargo("EMBARGOED")
    archive.add_user("me@example.org", TOKEN, admin=True)
    env = {token_variable(mirror.server.api_url): TOKEN}
    mirror.cli("sync", "000123", "--embargoed", env=env)
    with served(mirror) as address:
        for path in ("000123/HEAD", "000123/info/refs", "HEAD", "info/refs"):
            assert requests.get(f"{git_of(address)}/{path}", timeout=60).status_code == 404, path
        dandiset.set_embargo("OPEN")
        mirror.cli("sync", "000123", env=env)
        assert requests.get(f"{address}/dandisets/000123/", timeout=60).status_code == 200
        closed = requests.get(f"{git_of(address)}/000123/info/refs", timeout=60)
        assert closed.status_code == 404 and "embargo" in closed.json()["detail"]


def test_a_link_in_place_of_the_repository_of_a_zarr_shows_no_other_repository(
    dandiset: Dandiset, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    (zarr,) = dandiset.archive.zarrs.values()
    place = repository_path(mirror.path, zarr.zarr_id)
    with served(mirror) as address:
        url = f"{git_of(address)}/{'/'.join(place.parts)}/HEAD"
        assert requests.get(url).status_code == 200
        place.path.rename(tmp_path / "private.git")
        place.path.symlink_to(tmp_path / "private.git")
        assert requests.get(url).status_code == 404
