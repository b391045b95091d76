"""Upload from the mirror's dataset and from a clone: what goes up, and that everything stands as a sync makes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dandi_mirror.archive.instances import token_variable
from dandi_mirror.embedded import Archive, Dandiset, Server
from tests.conftest import MirrorOfTest, run
from tests.test_credentials import TOKEN
from tests.test_sync import seed

FILE = "sub-0/sub-0_ses-1_ecephys.nwb"


@pytest.fixture
def mine(archive: Archive) -> Dandiset:
    archive.add_user("me@example.org", TOKEN, name="Olive Owner")
    dandiset = seed(archive)
    dandiset.owners.append("me@example.org")
    return dandiset


@pytest.fixture
def token(server: Server) -> dict[str, str]:
    return {token_variable(server.api_url): TOKEN}


def upload(folder: Path, server: Server, *arguments: str, code: int = 0, **more: str) -> str:
    env = {token_variable(server.api_url): TOKEN} | more
    done = run("dandi-mirror", "upload", *arguments, "-i", server.api_url, "--validation", "skip",
               cwd=folder, env=env, code=None)  # fmt: skip
    assert done.returncode == code, f"ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def test_a_file_that_is_put_into_the_mirrors_dataset_goes_up_and_a_sync_has_nothing_to_do(
    mine: Dandiset, mirror: MirrorOfTest
) -> None:
    mirror.sync()
    folder = mirror.path / "000123"
    (folder / "sub-9").mkdir()
    (folder / "sub-9" / "sub-9_data.dat").write_bytes(b"new content" * 100)
    (folder / "README").write_text("words\n")
    said = upload(folder, mirror.server)
    print(said)
    assert mirror.git("status", "--porcelain") == ""
    assert sorted(mirror.asset_paths()) == sorted(asset.path for asset in mine.draft)
    head = mirror.refs()["refs/heads/draft"]
    assert mirror.sync().status == "notneeded"
    assert mirror.refs()["refs/heads/draft"] == head
    key = mirror.keys()["sub-9/sub-9_data.dat"]
    assert len(mirror.urls(key)) == 2
    assert (folder / "sub-9" / "sub-9_data.dat").is_symlink()
    run("datalad", "drop", "sub-9", cwd=folder)
    run("datalad", "get", "sub-9", cwd=folder)


def test_from_a_new_dandiset_to_a_tag_in_the_mirror(
    archive: Archive, mirror: MirrorOfTest, token: dict[str, str]
) -> None:
    archive.add_user("me@example.org", TOKEN, name="Olive Owner")
    told = mirror.cli("create", "--name", "A new one", "--license", "CC-BY-4.0", "--description", "Words.", env=token)
    dandiset = told.stdout.split()[0]
    folder = mirror.path / dandiset
    (folder / "sub-1").mkdir()
    (folder / "sub-1" / "sub-1_data.dat").write_bytes(b"bytes")
    upload(folder, mirror.server)
    assert mirror.cli("sync", dandiset).stdout == ""
    done = mirror.cli("publish", dandiset, "--yes", env=token)
    (version,) = [published.version for published in archive.dandisets[dandiset].published]
    assert done.stdout.startswith(f"{dandiset}@{version} is published and mirrored\n")
    assert "Owner, Olive" in done.stdout
    assert f"refs/tags/{version}" in mirror.refs(dandiset)
    assert mirror.cli("sync", dandiset).stdout == ""
    assert "nothing has changed" in mirror.cli("publish", dandiset, "--yes", env=token, code=3).stderr


def test_what_is_done_in_a_clone_is_what_the_mirror_then_makes(
    mine: Dandiset, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    mirror.sync()
    run("datalad", "clone", str(mirror.path / "000123"), "clone", cwd=tmp_path)
    folder = tmp_path / "clone"
    run("git", "mv", "sub-0", "sub-8", cwd=folder)
    (folder / "new.dat").write_bytes(b"new" * 1000)
    run("datalad", "save", "-m", "mine", cwd=folder)
    run("git", "rm", "-q", "sub-1/sub-1_ses-1_ecephys.nwb", cwd=folder)
    mirror.server.requests.clear()
    print(upload(folder, mirror.server, "--sync"))
    assert run("git", "status", "--porcelain", cwd=folder).stdout == ""
    head = run("git", "rev-parse", "draft", cwd=folder).stdout.strip()
    assert sorted(asset.path for asset in mine.draft) == [
        "new.dat",
        "sub-2/sub-2_ses-1_ecephys.nwb",
        "sub-8/sub-0_ses-1_ecephys.nwb",
    ]
    mirror.sync()
    assert mirror.refs()["refs/heads/draft"] == head
    print(upload(folder, mirror.server, "--sync"))
    run("datalad", "drop", "new.dat", cwd=folder)
