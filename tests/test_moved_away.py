"""A Dandiset that somebody has moved out of the mirror, as the page says: it is gone everywhere."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import requests

from dandi_mirror.embedded import Archive
from tests.conftest import MirrorOfTest, run
from tests.support.published import seed
from tests.support.pushing import Published
from tests.support.serving_mirrors import get, served


@pytest.fixture
def left(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> Published:
    """A mirror of two Dandisets and its sibling; the archive has deleted one, and its folder was moved away."""
    dandisets = {dandiset: seed(archive, dandiset) for dandiset in ("000027", "000123")}
    mirror.cli("sync", *dandisets)
    del archive.dandisets["000123"]
    (mirror.path / "000123").rename(tmp_path / "away")
    return Published(mirror, dandisets, tmp_path / "backup")


def typed(command: str) -> None:
    """Type what a message says, as it stands."""
    subprocess.run(["sh", "-c", command], check=True)


def after(text: str, words: str) -> str:
    """The rest of the line behind these words."""
    return text[text.index(words) + len(words) :].splitlines()[0]


def test_verify_says_how_it_leaves_the_superdataset_and_that_helps(left: Published) -> None:
    told = left.mirror.cli("verify", code=3).stdout
    typed(after(told, "or, if it is to stay away: "))
    left.mirror.cli("verify")
    left.mirror.cli("sync")
    assert left.mirror.cli("verify", "-f", "json").stdout.count("000123") == 0
    (left.target.parent / "away").rename(left.mirror.path / "000123")
    left.mirror.cli("sync", code=3)
    told = left.mirror.cli("verify", code=3).stdout
    assert "000123  1 difference" in told and "superdataset" not in told, "it is here again, and registered"
    assert "000123" in run("datalad", "-C", str(left.mirror.path), "subdatasets").stdout
    (left.mirror.path / "000123").rename(left.target.parent / "away")
    typed(after(left.mirror.cli("verify", code=3).stdout, "or, if it is to stay away: "))
    left.mirror.cli("sync")
    clone = left.target.parent / "clone"
    run("datalad", "clone", str(left.mirror.path), str(clone))
    assert "000123" not in run("datalad", "-C", str(clone), "subdatasets").stdout


def test_push_says_the_same_and_then_pushes_the_superdataset(left: Published) -> None:
    told = left.cli(code=3).stderr
    assert "waits for Dandisets that it names and backup does not have: 000123" in told
    typed(after(told, "take it out of the superdataset: "))
    assert left.cli().stdout == "superdataset  backup  draft\n"
    assert left.there("") == left.here("")


def test_a_server_does_not_show_it_at_once_and_shows_it_again(left: Published) -> None:
    with served(left.mirror) as address:
        listed = get(address, "/dandisets/")
        assert [entry["identifier"] for entry in listed["results"]] == ["000027"]  # type: ignore[index]
        for path in ("/dandisets/000123/", "/dandisets/000123/versions/", "/../git/000123/info/refs"):
            url = address.removesuffix("/api") + path.removeprefix("/..") if ".." in path else address + path
            assert requests.get(url, timeout=60).status_code == 404, url
        (left.target.parent / "away").rename(left.mirror.path / "000123")
        assert get(address, "/dandisets/")["count"] == 2  # type: ignore[index]
        (left.mirror.path / "000123").rename(left.target.parent / "away")
        assert get(address, "/dandisets/")["count"] == 1  # type: ignore[index]
