"""What a served mirror holds under embargo: for those who send the owner's token, and for nobody else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import requests

from dandi_mirror.archive.instances import token_variable
from dandi_mirror.embedded import Archive, Dandiset
from tests.conftest import MirrorOfTest, run
from tests.support.credentials import TOKEN
from tests.support.dandisets import seed
from tests.support.serving_mirrors import served

GIVEN = "0123456789abcdefghij"
PATH = "sub-1/sub-1_ses-1_ecephys.nwb"


@pytest.fixture
def closed(archive: Archive, mirror: MirrorOfTest) -> Dandiset:
    """A mirrored embargoed Dandiset whose content is at the archive only."""
    dandiset = seed(archive)
    dandiset.set_embargo("EMBARGOED")
    archive.add_user("me@example.org", TOKEN, admin=True)
    mirror.cli("sync", "000123", "--embargoed", env={token_variable(mirror.server.api_url): TOKEN})
    mirror.server.requests.clear()
    return dandiset


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    (file := tmp_path / "tokens").write_text(f"# of the lab\n{GIVEN}\n")
    file.chmod(0o600)
    return file


def test_who_sends_the_owners_token_reads_it_and_nobody_else(
    closed: Dandiset, mirror: MirrorOfTest, tokens: Path, tmp_path: Path
) -> None:
    env = {**os.environ, token_variable(mirror.server.api_url): TOKEN}
    asset = next(asset.asset_id for asset in closed.draft if asset.path == PATH)
    with served(mirror, "--token-file", str(tokens), env=env) as address:
        place = address.removesuffix("/api")
        where = [
            f"{address}/dandisets/000123/", f"{address}/assets/{asset}/", f"{address}/assets/{asset}/download/",
            f"{place}/dav/000123/draft/{PATH}", f"{place}/git/000123/info/refs",
        ]  # fmt: skip
        asked: list[dict[str, str]] = [{}, {"Authorization": f"token {GIVEN[:-1]}x"}, {"Authorization": "token "}]
        for headers in [*asked, {"Authorization": f"token {TOKEN}"}]:
            for url in where:
                assert requests.get(url, headers=headers, timeout=60).status_code == 404, (url, headers)
            assert requests.get(f"{address}/dandisets/", headers=headers, timeout=60).json()["count"] == 0
        assert mirror.server.requests == []
        known = {"Authorization": f"token {GIVEN}"}
        assert requests.get(where[0], headers=known, timeout=60).json()["embargo_status"] == "EMBARGOED"
        for headers in (known, {"Authorization": f"Bearer {GIVEN}"}):
            assert requests.get(where[2], headers=headers, timeout=60).content == b"content 1"
        assert requests.get(where[3], auth=("anybody", GIVEN), timeout=60).content == b"content 1"
        # the cache has it now, and still shows it to nobody
        assert requests.get(where[2], timeout=60).status_code == 404
        run("git", "-c", f"http.extraHeader=Authorization: token {GIVEN}", "clone", "-q", f"{place}/git/000123",
            str(tmp_path / "clone"))  # fmt: skip
    sent = [(request.path, request.headers.get("authorization")) for request in mirror.server.requests]
    assert {path.startswith("/api/") for path, key in sent if key} == {True}
    assert {key for path, key in sent if path.startswith("/dandi-dandisets")} == {None}


def test_without_the_file_a_token_means_nothing(closed: Dandiset, mirror: MirrorOfTest) -> None:
    env = {**os.environ, token_variable(mirror.server.api_url): TOKEN}
    with served(mirror, env=env) as address:
        for token in (TOKEN, ""):
            answer = requests.get(
                f"{address}/dandisets/000123/", headers={"Authorization": f"token {token}"}, timeout=60
            )
            assert answer.status_code == 404


def test_a_file_that_others_may_read_or_that_holds_no_token_is_refused(
    closed: Dandiset, mirror: MirrorOfTest, tokens: Path
) -> None:
    def refused() -> str:
        return run("dandi-mirror", "serve", "-d", str(mirror.path), "--token-file", str(tokens), code=2).stderr

    tokens.chmod(0o644)
    assert "chmod 600" in refused()
    tokens.chmod(0o600)
    for text in ("", "short\n", "# nothing\n", "with a blank in the middle of it\n"):
        tokens.write_text(text)
        assert "openssl rand" in refused(), text
    tokens.unlink()
    assert "cannot be read" in refused()
