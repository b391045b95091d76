"""Zarrs in ``search``, ``which`` and ``cite``: found like other assets, and named by the checksums of their states."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dandi_mirror.embedded import Archive
from dandi_mirror.mirror.history.citation import SHOWN_ZARRS
from tests.conftest import MirrorOfTest, only_asked, run
from tests.support.dandisets import participant
from tests.support.zarrs import SMALL, a_zarr, change

PATH = "sub-m1/brain.ome.zarr"
MORE = 12


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MirrorOfTest]:
    """A draft with a Zarr that changed once, several more, and a file; nothing is published."""

    def fill(archive: Archive, mirror: MirrorOfTest) -> MirrorOfTest:
        dandiset = archive.create_dandiset("000123", name="A test of brains")
        made = dandiset.add_zarr(PATH, files=SMALL)
        made.complete()
        dandiset.add_asset(PATH, zarr=made, metadata=participant("m1"))
        dandiset.add_asset("sub-m1/a.nwb", archive.add_blob(b"a"), metadata=participant("m1"))
        for number in range(MORE):
            a_zarr(dandiset, f"z/{number:02}.zarr", {".zgroup": b"%d" % number})
        assert mirror.sync().exit_code == 0
        change(made, {"arr/0/0": b"other"})
        assert mirror.sync().exit_code == 0
        mirror.server.requests.clear()
        return mirror

    with only_asked(tmp_path_factory.mktemp("asked"), fill) as mirror:
        yield mirror
        assert mirror.server.requests == [], "the archive was not asked"


def records(mirror: MirrorOfTest, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
    done = run("dandi-mirror", *arguments, "-d", str(mirror.path), "-f", "json", code=code)
    return [json.loads(line) for line in done.stdout.splitlines()]


def put(folder: Path, files: dict[str, bytes]) -> Path:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def states(mirror: MirrorOfTest) -> tuple[str, str]:
    """The checksum of the Zarr before and now."""
    row = records(mirror, "ls", f"000123/{PATH}")[0]
    now, zarr_id = row["checksum"], row["zarr"]
    folder = mirror.path / "zarr" / zarr_id[:3] / zarr_id[3:6] / zarr_id
    return next(path.name for path in folder.iterdir() if path.name != now), now


def test_a_zarr_is_found_like_a_file_and_is_known_as_one(asked: MirrorOfTest) -> None:
    for words in (["brain.ome"], ["subject:m1", "file_type:zarr"], ["path:ome"]):
        hits = [record for record in records(asked, "search", *words) if record.get("type") == "file"]
        assert [(hit["file"], hit["zarr"]) for hit in hits] == [(PATH, True)], words
    found = records(asked, "search", "subject:m1")
    assert {hit["file"]: hit["zarr"] for hit in found if "zarr" in hit} == {PATH: True, "sub-m1/a.nwb": False}
    text = run("dandi-mirror", "search", "file_type:zarr", "-d", str(asked.path)).stdout
    assert f"dandi-mirror get 000123@draft {PATH} " in text.replace(str(asked.path), "DIR")
    assert ", Zarr\n" in text and "a.nwb" not in text


def test_a_zarr_folder_is_found_by_its_checksum_also_in_an_older_state(asked: MirrorOfTest, tmp_path: Path) -> None:
    before, now = states(asked)
    here = put(tmp_path / "mine.zarr", {**SMALL, "arr/0/0": b"other"})
    for what in (str(here), now):
        (found, end) = records(asked, "which", what)
        assert (found["file"], found["versions"], found["checksum"]) == (PATH, ["draft"], now)
        assert end["places"] == 1
    (found, _) = records(asked, "which", str(put(tmp_path / "old", SMALL)))
    assert (found["file"], found["versions"], found["checksum"]) == (PATH, [], before)
    assert found["command"] == f"dandi-mirror download 000123@draft/{PATH}@{before} -d {asked.path}"
    text = run("dandi-mirror", "which", before, "-d", str(asked.path)).stdout
    assert f"an older state of the draft: @{before}\n" in text
    assert records(asked, "ls", f"000123/{PATH}@{before}")[0]["checksum"] == before


def test_a_zarr_that_nobody_has_a_chunk_and_a_plain_folder_are_told_apart(asked: MirrorOfTest, tmp_path: Path) -> None:
    unknown = put(tmp_path / "x.zarr", {".zgroup": b"nobody has this"})
    (found, end) = records(asked, "which", str(unknown), code=3)
    assert (found["versions"], end["places"]) == ([], 0)
    done = run("dandi-mirror", "which", str(unknown), "-d", str(asked.path), code=3)
    assert f"(checksum {found['checksum']})" in done.stderr
    chunk = put(tmp_path / "y.zarr", SMALL) / "arr/0/0"
    assert "no version" in run("dandi-mirror", "which", str(chunk), "-d", str(asked.path), code=3).stderr
    (tmp_path / "plain").mkdir()
    done = run("dandi-mirror", "which", str(tmp_path / "plain"), "-d", str(asked.path), code=2)
    assert "is a folder and no Zarr" in done.stderr


def test_a_draft_is_cited_by_its_commit_and_its_zarrs_by_their_checksums(asked: MirrorOfTest) -> None:
    tip, (_, now) = asked.git("rev-parse", "draft"), states(asked)

    def cite(name: str, form: str = "text", code: int = 0) -> str:
        done = run("dandi-mirror", "cite", name, "-d", str(asked.path), "-f", form, code=code)
        return done.stdout if not code else done.stderr

    text = cite("000123@draft")
    assert f"In git: commit {tip}, the draft of " in text
    assert f"Zarr {PATH}: checksum {now}\n" in text
    assert text.count("Zarr z/") == SHOWN_ZARRS - 1
    assert f"… and {MORE + 1 - SHOWN_ZARRS} more Zarrs, in .gitmodules of that commit\n" in text
    before, old = asked.git("rev-parse", "draft^"), states(asked)[0]
    assert f"Zarr {PATH}: checksum {old}\n" in cite(f"000123@{before[:8]}"), "that of the cited commit"
    assert f"git commit {tip}, the draft of " in cite("000123@draft", "bibtex") and now in cite(
        "000123@draft", "bibtex"
    )
    assert f"N1  - Zarr {PATH}: checksum {now}" in cite("000123@draft", "ris")
    yaml = pytest.importorskip("yaml")
    cff = yaml.safe_load(cite("000123@draft", "cff"))
    assert cff["commit"] == tip
    assert cff["identifiers"][0] == {
        "type": "other", "value": now, "description": f"DANDI checksum of the Zarr {PATH}",
    }  # fmt: skip
    assert len(cff["identifiers"]) == SHOWN_ZARRS
    assert "to cite its draft: dandi-mirror cite 000123@draft" in cite("000123", code=2)
