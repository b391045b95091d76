"""``zarr ref``: stock fsspec and zarr open the exact state of a Zarr, and what cannot be had is an error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response

from dandi_mirror.embedded import Archive
from tests.conftest import MirrorOfTest, run
from tests.support.getting import get
from tests.support.plain_zarrs import FORMATS, PATH, plain, synced, truth
from tests.support.zarrs import change

pytest.importorskip("aiohttp")
fsspec = pytest.importorskip("fsspec")
zarr_python = pytest.importorskip("zarr")


def opened(file: Path) -> Any:
    """The group of a reference file, as a user opens it."""
    options = {"fo": str(file), "remote_options": {"asynchronous": True}, "asynchronous": True}
    store = zarr_python.storage.FsspecStore.from_url("reference://", storage_options=options)
    return zarr_python.open_group(store, mode="r")


def ref(mirror: MirrorOfTest, file: Path, state: str = "") -> Path:
    run(
        "dandi-mirror", "zarr", "ref", f"000123/{PATH}{state}", "-d", str(mirror.path), "-o", str(file), cwd=file.parent
    )
    return file


@FORMATS
def test_an_older_state_opens_after_the_archive_has_changed_it(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path, zarr_format: int
) -> None:
    files = plain(tmp_path / "made", zarr_format)
    made = synced(archive, mirror, files)
    before = made.checksum
    chunk = next(path for path in files if path.startswith("0/") and path[-1].isdigit())
    change(made, {chunk: files[chunk.replace("0/", "1/", 1)][:-1]})
    assert mirror.sync(zarr_repositories="none").exit_code == 0
    old = opened(ref(mirror, tmp_path / "old.json", f"@{before}"))
    assert truth(old["0"]) and truth(old["1"])
    assert ref(mirror, tmp_path / "new.json").read_text() != (tmp_path / "old.json").read_text()
    assert json.loads((tmp_path / "old.json").read_text())["refs"].keys() == files.keys()


def test_what_cannot_be_had_is_an_error_and_no_fill_value(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    files = plain(tmp_path / "made", 2)
    synced(archive, mirror, files)
    root = opened(ref(mirror, tmp_path / "x.json"))
    assert truth(root["0"])
    for code in (403, 404):
        mirror.server.intercept = lambda asked, code=code: Response(status_code=code) if "/1/" in asked.path else None
        array = opened(tmp_path / "x.json")
        with pytest.raises((KeyError, OSError, RuntimeError)):
            array["1"][...]
        mirror.server.intercept = lambda asked, code=code: (
            Response(status_code=code) if "/1/" in asked.path and ".zarray" not in asked.path else None
        )
        with pytest.raises((OSError, RuntimeError)):
            opened(tmp_path / "x.json")["1"][...]


def test_a_zarr_that_is_all_here_is_read_from_disk(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> None:
    synced(archive, mirror, plain(tmp_path / "made", 2))
    get(mirror.path / "000123", PATH)
    mirror.server.requests.clear()
    root = opened(ref(mirror, tmp_path / "x.json"))
    assert truth(root["0"])
    assert truth(root["1"])
    assert not mirror.server.requests


def test_a_path_that_is_no_zarr_is_named(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> None:
    synced(archive, mirror, plain(tmp_path / "made", 2))
    done = run("dandi-mirror", "zarr", "ref", "000123/other", "-d", str(mirror.path), cwd=tmp_path, code=3)
    assert "no Zarr at other" in done.stderr and done.stdout == ""
    run("git", "clone", "-q", str(mirror.path / "000123"), str(tmp_path / "clone"))
    (tmp_path / "clone" / "empty").mkdir()
    for folder, top in ((tmp_path / "clone", "."), (tmp_path / "clone" / "empty", "..")):
        said = run("dandi-mirror", "zarr", "ref", f"{top}/other", cwd=folder, code=3).stderr
        assert said.endswith(f"see what it has: dandi-mirror ls {top}\n")
        assert "sub-0/" in run("dandi-mirror", "ls", top, cwd=folder).stdout
