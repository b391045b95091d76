"""Bags: complete when their list was fetched, or with their files; and never half of one."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import bagit
from starlette.responses import Response

from tests.conftest import MirrorOfTest
from tests.support.exporting import CONTENT, V1, below, export


def test_a_bag_without_files_is_complete_when_its_list_was_fetched(published: MirrorOfTest, tmp_path: Path) -> None:
    export(published, "bagit", tmp_path / "bag")
    assert published.server.requests == []
    assert below(tmp_path / "bag" / "data").keys() == {"dandiset.yaml"}
    lines = (tmp_path / "bag" / "fetch.txt").read_text().splitlines()
    assert len(lines) == 5
    assert not bagit.Bag(str(tmp_path / "bag")).is_valid(), "files are missing"
    for line in lines:
        url, size, place = line.split(" ", 2)
        file = tmp_path / "bag" / place
        file.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(url) as answer:
            file.write_bytes(answer.read())
        assert file.stat().st_size == int(size)
    bagit.Bag(str(tmp_path / "bag")).validate()


def test_a_bag_with_its_files_is_valid(published: MirrorOfTest, tmp_path: Path) -> None:
    said = export(published, "bagit", tmp_path / "bag", "--payload")
    assert said.splitlines()[-1] == f"{tmp_path}/bag: 5 files, 40 bytes"
    bagit.Bag(str(tmp_path / "bag")).validate()
    found = below(tmp_path / "bag" / "data")
    assert found.pop("dandiset.yaml").startswith(b"{") and found == CONTENT
    assert [place.name for place in tmp_path.iterdir() if "part" in place.name] == []


def test_a_bag_appears_only_when_all_its_files_have_come(published: MirrorOfTest, tmp_path: Path) -> None:
    key = published.keys(V1)["sub-0/sub-0_ses-1_ecephys.nwb"]
    (url,) = (url for url in published.urls(key) if "/blobs/" in url)
    published.server.intercept = lambda asked: Response(status_code=404) if asked.path in url else None
    said = export(published, "bagit", tmp_path / "bag", "--payload", code=3)
    assert "sub-0/sub-0_ses-1_ecephys.nwb" in said and "run it again" in said
    assert not (tmp_path / "bag").exists()
    (kept,) = tmp_path.glob(".bag.*.part")
    assert f"what has come is kept in {kept}: run it again" in said
    published.server.intercept = None
    published.server.requests.clear()
    export(published, "bagit", tmp_path / "bag", "--payload")
    assert not [asked for asked in published.server.requests if "sub-1" in str(asked)]
    assert below(tmp_path / "bag" / "data").keys() == {*CONTENT, "dandiset.yaml"}
    export(published, "bagit", tmp_path / "bag", "--overwrite", code=2)
