"""``download`` of Zarrs by the manifests of a mirror: exact states, verified, and never an array that is not whole."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response

from dandi_mirror.embedded import Archive, Request
from dandi_mirror.mirror.fetch.download_plan import PARTIALS
from tests.conftest import MirrorOfTest, run
from tests.support.downloading import download, found
from tests.support.getting import get
from tests.support.plain_zarrs import FORMATS, PATH, plain, synced, truth, zarr_python
from tests.support.terminal import on_terminal
from tests.support.waiting import wait_until
from tests.support.zarrs import change, checksum, files_of, in_parts, made_by_zarr

NAME = "x.ome.zarr"


def contents(mirror: MirrorOfTest) -> list[str]:
    """The entries that were asked for at S3, with the query."""
    requests = mirror.server.requests
    paths = (f"{request.path}?{request.query}" for request in requests if "/dandi-dandisets/zarr/" in request.path)
    return [path.split("/zarr/")[1].partition("/")[2] for path in paths]


def broken(*ends: str) -> Callable[[Request], Response | None]:
    """Give other bytes for the entries that end so."""

    def intercept(request: Request) -> Response | None:
        wrong = "/dandi-dandisets/" in request.path and request.path.endswith(ends)
        return Response(b"wrong") if wrong else None

    return intercept


@FORMATS
def test_the_exact_state_comes_by_the_manifest_and_an_older_one_after_the_archive_has_changed(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path, zarr_format: int
) -> None:
    files = plain(tmp_path / "made", zarr_format)
    made = synced(archive, mirror, files)
    before = str(made.checksum)
    download(mirror, tmp_path / "now", f"000123/{PATH}")
    assert checksum(found(tmp_path / "now" / NAME)) == before
    assert all("?versionId=" in path for path in contents(mirror)), "the exact objects"
    assert not [request for request in mirror.server.requests if "/api/zarr/" in request.path], "nothing is listed"
    chunk = next(path for path in files if path.startswith("0/") and path[-1].isdigit())
    change(made, {chunk: b"other", "extra": b"new"})
    assert mirror.sync(zarr_repositories="none").exit_code == 0
    download(mirror, tmp_path / "old", f"000123/{PATH}@{before}")
    assert found(tmp_path / "old" / NAME) == files
    download(mirror, tmp_path / "old", f"000123/{PATH}", "-e", "overwrite-different")
    assert checksum(found(tmp_path / "old" / NAME)) == made.checksum
    assert {path.partition("?")[0] for path in contents(mirror)} >= {chunk, "extra"}
    assert len(contents(mirror)) <= 4, "and the metadata that covers them"
    download(mirror, tmp_path / "part", f"000123/{PATH}@{before}/0")
    assert truth(zarr_python.open_array(str(tmp_path / "part" / "0"), mode="r"))
    elsewhere = ["-d", str(tmp_path / "none"), "-i", mirror.server.api_url, "-o", str(tmp_path / "no")]
    done = run("dandi-mirror", "download", f"000123/{PATH}@{before}", *elsewhere, code=3)
    assert "and can list no other" in done.stderr and not (tmp_path / "no").exists()


@FORMATS
def test_an_array_of_which_a_chunk_did_not_come_does_not_open(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path, zarr_format: int
) -> None:
    files = plain(tmp_path / "made", zarr_format)
    synced(archive, mirror, files)
    out = tmp_path / "out"
    chunk = next(path for path in files if path.startswith("0/") and path.endswith("1"))
    mirror.server.intercept = broken(f"/{chunk}")
    done = download(mirror, out, f"000123/{PATH}/*", code=3)
    assert f"{PATH}/{chunk}: the server offers 5 bytes instead of" in done.stderr
    assert "it comes when all chunks that it covers are here" in done.stderr
    place = out / PATH
    with pytest.raises((OSError, ValueError, KeyError)):
        zarr_python.open_array(str(place / "0"), mode="r")
    assert truth(zarr_python.open_array(str(place / "1"), mode="r"))
    mirror.server.intercept = None
    download(mirror, out, f"000123/{PATH}/*", "-e", "refresh")
    assert truth(zarr_python.open_array(str(place / "0"), mode="r"))
    assert found(place) == files
    assert len(contents(mirror)) <= 3, "the chunk, and the metadata of its array and of the group"


@FORMATS
def test_an_update_that_fails_leaves_no_array_of_old_and_new_chunks(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path, zarr_format: int
) -> None:
    files = plain(tmp_path / "made", zarr_format)
    made = synced(archive, mirror, files)
    out = tmp_path / "out"
    download(mirror, out, f"000123/{PATH}")
    one, two = [path for path in files if path.startswith("0/") and path[-1].isdigit()][:2]
    change(made, {one: files[two], two: files[one]})
    assert mirror.sync(zarr_repositories="none").exit_code == 0
    mirror.server.intercept = broken(f"/{two}")
    done = download(mirror, out, f"000123/{PATH}", "-e", "overwrite-different", code=3)
    assert f"{two}: the server offers 5 bytes instead of" in done.stderr
    with pytest.raises((OSError, ValueError, KeyError)):
        zarr_python.open_array(str(out / NAME / "0"), mode="r")
    assert truth(zarr_python.open_array(str(out / NAME / "1"), mode="r")), "the other array is as it was"
    mirror.server.intercept = None
    download(mirror, out, f"000123/{PATH}", "-e", "overwrite-different")
    assert checksum(found(out / NAME)) == made.checksum


@pytest.mark.parametrize("seed", range(3))
@FORMATS
def test_whatever_does_not_come_no_array_reads_as_fill_values(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path, zarr_format: int, seed: int
) -> None:
    files = files_of(made_by_zarr(tmp_path / "made", zarr_format))  # with consolidated metadata
    synced(archive, mirror, files)
    chance = random.Random(f"{seed} {zarr_format}")
    lost = chance.sample(sorted(files), chance.randint(1, 3))
    mirror.server.intercept = broken(*(f"/{path}" for path in lost))
    out = tmp_path / "out"
    where = ["-d", str(mirror.path), "-i", mirror.server.api_url, "-o", str(out)]
    done = run("dandi-mirror", "download", f"000123/{PATH}/*", *where, code=None)
    assert done.returncode in {0, 3}, "0 if the same bytes came by the URL of another entry"
    opened = []
    for level in "01":
        ways: list[Callable[[], Any]] = [
            lambda: zarr_python.open_array(str(out / PATH / level), mode="r"),  # noqa: B023
            lambda: zarr_python.open_group(str(out / PATH), mode="r")[level],  # noqa: B023
            lambda: zarr_python.open_consolidated(str(out / PATH))[level],  # noqa: B023
        ]
        for way in ways:
            with suppress(OSError, ValueError, KeyError):
                array = way()
                opened.append(level)
                assert truth(array), (lost, level)
    came = found(out / PATH)
    assert set(opened) <= {level for level in "01" if all(path in came for path in files if path.startswith(level))}
    mirror.server.intercept = None
    download(mirror, out, f"000123/{PATH}/*", "-e", "refresh")
    assert found(out / PATH) == files


def test_metadata_that_is_named_alone_comes_and_a_glob_of_metadata_waits(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    files = plain(tmp_path / "made", 2)
    synced(archive, mirror, files)
    download(mirror, tmp_path / "one", f"000123/{PATH}/0/.zarray")
    assert found(tmp_path / "one") == {".zarray": files["0/.zarray"]}
    done = download(mirror, tmp_path / "some", f"000123/{PATH}/*/.z*", code=3)
    assert done.stderr.count("it comes when all chunks that it covers are here") == 2
    assert set(found(tmp_path / "some")) == {f"{PATH}/{path}" for path in files if path.endswith("/.zattrs")}


def test_content_that_is_here_is_copied(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> None:
    files = plain(tmp_path / "made", 2)
    synced(archive, mirror, files)
    get(mirror.path / "000123", PATH)
    download(mirror, tmp_path / "out", f"000123/{PATH}")
    assert found(tmp_path / "out" / NAME) == files
    assert contents(mirror) == []


def test_entries_that_were_sent_in_parts_are_verified_if_the_size_of_the_parts_can_be_known(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    content = random.Random(1).randbytes(4500)
    files = {**plain(tmp_path / "made", 2), "0/one": in_parts(content, 5000), "0/five": in_parts(content, 1000)}
    made = synced(archive, mirror, files)  # type: ignore[arg-type]
    done = download(mirror, tmp_path / "out", f"000123/{PATH}")
    assert found(tmp_path / "out" / NAME)["0/five"] == content
    words = "a file of a Zarr was sent to the archive in parts of unknown size: only the size is verified\n"
    assert done.stderr == words
    assert made.checksum
    mirror.server.intercept = lambda asked: (
        Response(content[:-1] + b"!") if asked.path.endswith("/0/one") and "/dandi-dandisets/" in asked.path else None
    )
    done = download(mirror, tmp_path / "wrong", f"000123/{PATH}/0/one", code=3)
    assert "0/one: the downloaded bytes do not match its ETag" in done.stderr
    assert not (tmp_path / "wrong" / "one").exists()


def test_without_a_mirror_a_part_comes_by_the_listing_of_the_archive(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    files = plain(tmp_path / "made", 2)
    made = synced(archive, mirror, files)
    mirror.server.requests.clear()
    mirror.server.intercept = broken("/0/1.1")
    elsewhere = ["-d", str(tmp_path / "none"), "-i", mirror.server.api_url, "-o", str(tmp_path / "out")]
    done = run("dandi-mirror", "download", f"000123/{PATH}/0", *elsewhere, code=3)
    assert "0/.zarray: it comes when all chunks" in done.stderr
    assert ".zarray" not in {path.name for path in (tmp_path / "out" / "0").iterdir()}
    asked = [request.params for request in mirror.server.requests if request.path.endswith("/files/")]
    listed = [params.get("prefix") for params in asked if "download" not in params]
    assert set(listed) == {"0"}, "not all of the Zarr is listed"
    mirror.server.intercept = None
    run("dandi-mirror", "download", f"000123/{PATH}@{made.checksum}/0", "-e", "refresh", *elsewhere)
    assert truth(zarr_python.open_array(str(tmp_path / "out" / "0"), mode="r"))


def test_a_terminal_shows_how_far_a_zarr_has_come_and_then_one_line(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    files = plain(tmp_path / "made", 2)
    synced(archive, mirror, files)
    seen = threading.Event()

    def held(request: Request) -> Response | None:
        if request.path.endswith("/0/1.1"):
            assert seen.wait(60), "the bar was there while a chunk was on its way"
        return None

    mirror.server.intercept = held
    where = ["-d", str(mirror.path), "-i", mirror.server.api_url, "-o", str(tmp_path / "out")]
    with on_terminal("download", f"000123/{PATH}", *where) as terminal:
        terminal.wait_for("0/1 file")
        seen.set()
        assert terminal.end() == 0
    (line,) = (line for line in terminal.lines if line)
    assert line.startswith("downloaded 1 file, ")


def test_a_download_that_was_killed_goes_on_where_it_was(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    files = plain(tmp_path / "made", 2)
    synced(archive, mirror, files)
    out, ended = tmp_path / "out", threading.Event()
    mirror.server.requests.clear()

    def held(request: Request) -> Response | None:
        if request.path.endswith("/1/1.1"):
            ended.wait(60)
        return None

    mirror.server.intercept = held
    where = ["-d", str(mirror.path), "-i", mirror.server.api_url, "-o", str(out)]
    command = [sys.executable, "-m", "dandi_mirror", "download", f"000123/{PATH}", *where, "-J", "2"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: any(path.startswith("1/1.1") for path in contents(mirror)))
            wait_until(lambda: len(found(out / PARTIALS)) > len(set(files.values())) - 3)
        finally:
            process.kill()
            ended.set()
    assert not (out / NAME).exists(), "a Zarr that is not whole is not in its place"
    mirror.server.intercept = None
    download(mirror, out, f"000123/{PATH}")
    assert found(out / NAME) == files
    assert len(contents(mirror)) < 6, "most of it was there"
    assert [path.name for path in out.iterdir()] == [NAME]
