"""Previews of NWB files that are at the archive only: by a few ranges, never what a bad answer would make of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import h5py
import numpy
import pytest
import requests
from starlette.responses import Response, StreamingResponse

from dandi_mirror.archive.instances import token_variable
from dandi_mirror.catalogue.parts import BYTES, REQUESTS, Budget, RemoteFile, blocks_of
from dandi_mirror.catalogue.previews import script_name
from dandi_mirror.config import Settings
from dandi_mirror.embedded import Archive, Request
from dandi_mirror.errors import TemporaryError
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.serve import looking
from dandi_mirror.upload.read.worker import Worker
from dandi_mirror.workflows.serve.block_cache import cache_of
from tests.conftest import MirrorOfTest
from tests.support.browser import browsing
from tests.support.catalogues import build, part
from tests.support.credentials import TOKEN
from tests.support.recordings import write_large_recording, write_recording
from tests.support.serving_mirrors import served
from tests.support.waiting import wait_until

PATH = "sub-m9/sub-m9_ses-s9_ecephys.nwb"


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file of 30 MB."""
    return write_large_recording(tmp_path_factory.mktemp("recording") / "large.nwb", 30).read_bytes()


@pytest.fixture
def away(archive: Archive, mirror: MirrorOfTest, recording: bytes) -> MirrorOfTest:
    """A mirror without the content of a large recording."""
    archive.create_dandiset("000123", "With a recording").add_asset(PATH, archive.add_blob(recording))
    mirror.cli("sync", "000123")
    mirror.server.requests.clear()
    return mirror


def asked(mirror: MirrorOfTest) -> list[tuple[int, int]]:
    """The ranges of content that were asked for."""
    found = []
    for request in mirror.server.requests:
        if "/blobs/" in request.path or "/download/" in request.path:
            first, _, last = request.headers.get("range", "bytes=0-99999999").removeprefix("bytes=").partition("-")
            found.append((int(first), int(last) + 1))
    return found


def preview(pages: Path) -> Any:
    """The one preview in a catalogue."""
    (path,) = pages.glob("d/000123/preview-*.js")
    return part(path)


def kept(mirror: MirrorOfTest) -> list[Path]:
    return sorted((mirror.path / ".dandi-mirror" / "previews").rglob("*.json"))


def test_a_large_file_is_looked_into_by_few_requests_and_only_when_asked(
    away: MirrorOfTest, recording: bytes, tmp_path: Path
) -> None:
    assert len(recording) > 30_000_000
    build(away, tmp_path / "here", "--previews")
    assert asked(away) == [] and not list((tmp_path / "here").glob("d/000123/preview-*.js"))
    build(away, tmp_path / "all", "--previews", "all")
    ranges = asked(away)
    assert 0 < len(ranges) <= REQUESTS
    assert sum(stop - start for start, stop in ranges) <= BYTES
    found = preview(tmp_path / "all")
    assert found["ranges"] and found["grade"] == 1 and not found["error"]
    assert ["subject id", "m9"] in found["facts"] and ["lab", "a laboratory"] in found["facts"]
    assert {"/acquisition/left", "/acquisition/right", "/units"} <= {node["path"] for node in found["tree"]}
    assert {plot["kind"] for plot in found["plots"]} == {"traces", "raster", "image"}
    away.server.requests.clear()
    build(away, tmp_path / "again", "--previews", "all")
    assert asked(away) == [] and preview(tmp_path / "again") == found


def test_content_that_has_come_is_read_whole(away: MirrorOfTest, tmp_path: Path) -> None:
    build(away, tmp_path / "pages", "--previews", "all")
    assert preview(tmp_path / "pages")["ranges"]
    away.cli("sync", "000123", "--get", "*")
    build(away, tmp_path / "pages", "--previews", "all")
    found = preview(tmp_path / "pages")
    assert not found["ranges"] and found["grade"] == 2 and len(found["plots"]) == 4


def _longer(request: Request, response: Response) -> Response:
    return Response(bytes(response.body) + b"x", response.status_code, _plain(response))


def _other_size(request: Request, response: Response) -> Response:
    headers = _plain(response)
    headers["content-range"] = f"{headers['content-range'].rpartition('/')[0]}/99999999"
    return Response(bytes(response.body), response.status_code, headers)


def _other_bytes(request: Request, response: Response) -> Response:
    return Response(bytes(byte ^ 0x55 for byte in bytes(response.body)), response.status_code, _plain(response))


def _endless(request: Request, response: Response) -> Response:
    def more() -> Iterator[bytes]:
        while True:
            yield b"\0" * 65536

    return StreamingResponse(more(), response.status_code, _plain(response))


def _missing(request: Request, response: Response) -> Response:
    return Response(b"", 404)


def _plain(response: Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name != "content-length"}


@pytest.mark.parametrize("harm", [_longer, _other_size, _other_bytes, _endless, _missing])
def test_what_a_bad_answer_makes_of_a_file_is_not_kept(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path, harm: Callable[[Request, Response], Response]
) -> None:
    content = write_recording(tmp_path / "a.nwb").read_bytes() + bytes(2 << 20)
    archive.create_dandiset("000123", "With a recording").add_asset(PATH, archive.add_blob(content))
    mirror.cli("sync", "000123")
    mirror.server.rewrite = lambda request, response: harm(request, response) if "/blobs/" in request.path else response
    build(mirror, tmp_path / "pages", "--previews", "all", code=None)
    assert "no preview" in preview(tmp_path / "pages")["error"] and kept(mirror) == []
    mirror.server.rewrite = None
    for path in (mirror.path / ".dandi-mirror" / "cache").rglob("*"):
        if path.is_file():
            path.unlink()
    build(mirror, tmp_path / "other", "--previews", "all")
    assert not preview(tmp_path / "other")["error"] and len(kept(mirror)) == 1


def test_a_build_that_the_archive_did_not_answer_is_completed_by_the_next(away: MirrorOfTest, tmp_path: Path) -> None:
    away.server.intercept = lambda request: Response(status_code=503) if "/blobs/" in request.path else None
    said = build(away, tmp_path / "pages", "--previews", "all", code=3)
    assert "no previews of 1 file now" in said and "503" in said
    away.server.intercept = None
    assert "1 written" in build(away, tmp_path / "pages", "--previews", "all")
    assert not preview(tmp_path / "pages")["error"]
    assert "0 written" in build(away, tmp_path / "pages", "--previews", "all")


def test_an_archive_that_sends_nothing_is_given_up(
    archive: Archive, away: MirrorOfTest, monkeypatch: pytest.MonkeyPatch, recording: bytes
) -> None:
    go_on = threading.Event()

    def wait(request: Request) -> None:
        if "/blobs/" in request.path:
            go_on.wait(60)

    away.server.intercept = wait
    monkeypatch.setattr(looking, "LONGEST", 0.5)
    mirror = Mirror(away.path)
    cache = cache_of(mirror, Settings(instance=away.server.api_url), offline=False, closed=False)
    digest = sha256(recording).hexdigest()
    file = looking.Looking(mirror, cache, frozenset()).file("000123", PATH, len(recording), digest)
    assert isinstance(file, RemoteFile)
    budget = Budget()
    assert budget.read(file, 0, file.block) == b"" and isinstance(budget.error, TemporaryError)
    go_on.set()
    cache.close()


def test_embargoed_content_is_asked_for_only_with_the_owners_key(
    archive: Archive, mirror: MirrorOfTest, recording: bytes, tmp_path: Path
) -> None:
    dandiset = archive.create_dandiset("000123", "With a recording")
    dandiset.add_asset(PATH, archive.add_blob(recording))
    dandiset.set_embargo("EMBARGOED")
    archive.add_user("me@example.org", TOKEN, admin=True)
    key = {token_variable(mirror.server.api_url): TOKEN}
    mirror.cli("sync", "000123", "--embargoed", env=key)
    mirror.server.requests.clear()
    build(mirror, tmp_path / "none", "--previews", "all")
    build(mirror, tmp_path / "pages", "--previews", "all", "--embargoed")
    assert mirror.server.requests == []
    assert "not in this mirror" in preview(tmp_path / "pages")["error"]
    build(mirror, tmp_path / "mine", "--previews", "all", "--embargoed", env=key)
    assert not preview(tmp_path / "mine")["error"] and 0 < len(asked(mirror)) <= 2 * REQUESTS
    with served(mirror) as address:
        place = address.removesuffix("/api")
        wait_until(lambda: requests.get(f"{place}/", timeout=60).status_code == 200)
        mirror.server.requests.clear()
        name = next((tmp_path / "mine").glob("d/000123/preview-*.js")).name
        assert requests.get(f"{place}/d/000123/{name}", timeout=60).status_code == 404
        assert mirror.server.requests == []


def test_the_server_looks_into_a_file_that_is_away(away: MirrorOfTest) -> None:
    with served(away) as address, browsing() as browser:
        top = address.removesuffix("/api")
        wait_until(lambda: requests.get(f"{top}/d/000123/", timeout=60).status_code == 200)
        with browser.page(f"{top}/d/000123/#file={PATH}") as page:
            page.wait_for_selector("#file .preview svg")
            said = page.locator("#file .preview").inner_text()
            assert "Mus musculus" in said and "read from the archive" in said
        assert not browser.complaints
    assert 0 < len(asked(away)) <= REQUESTS


@pytest.mark.parametrize("option", ["--offline", "--redirect"])
def test_a_server_that_is_to_ask_nobody_makes_no_preview_of_it(
    away: MirrorOfTest, recording: bytes, option: str
) -> None:
    name = script_name(sha256(recording).hexdigest())
    with served(away, option) as address:
        top = address.removesuffix("/api")
        wait_until(lambda: requests.get(f"{top}/d/000123/", timeout=60).status_code == 200)
        assert "not in this mirror" in requests.get(f"{top}/d/000123/{name}", timeout=60).text
    assert asked(away) == []


# --- what the worker asks for ----------------------------------------------------------------------------------------


class Held(RemoteFile):
    """A file in memory that counts as one at the archive."""

    def __init__(self, content: bytes) -> None:
        self.content, self.size, self.block = content, len(content), 1 << 17
        self.asked: list[tuple[int, int]] = []

    def holds(self, start: int, stop: int) -> bool:
        return False

    def read(self, start: int, stop: int) -> bytes:
        self.asked.append((start, stop))
        return self.content[start:stop]


@pytest.mark.quick
def test_the_parent_gives_no_more_than_the_budget_whatever_the_worker_asks() -> None:
    file, budget = Held(bytes(100 << 17)), Budget()
    give = blocks_of(file, budget)
    for first, count in ((-1, 1), (100, 1), ("0", 1), (0, None), (10**30, 1), (True, 1.5)):
        assert give({"first": first, "count": count})[1] == b""
    assert give({})[1] == b"" and file.asked == [] and not budget.spent
    for number in range(1000):
        give({"first": number % 100, "count": 10**9 if number == 3 else 1})
    assert len(file.asked) <= REQUESTS and sum(stop - start for start, stop in file.asked) <= BYTES
    assert budget.spent


def test_when_the_budget_is_spent_there_is_what_was_read_until_then(worker: Worker, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "many.nwb", "w") as file:
        file["session_description"] = "many groups"
        for number in range(150):
            group = file.create_group(f"acquisition/g{number:03d}")
            group.attrs["neurodata_type"] = "TimeSeries"
            group["data"] = numpy.full(60_000, number, dtype="i4")
    held, budget = Held((tmp_path / "many.nwb").read_bytes()), Budget()
    found = worker.preview_of_blocks(held.size, held.block, blocks_of(held, budget))
    assert budget.spent and len(held.asked) <= REQUESTS
    assert ["session description", "many groups"] in found["facts"]
    assert 5 < len(found["tree"]) < 302 and found["plots"], (len(found["tree"]), len(found["plots"]), held.asked)


def test_a_file_that_is_read_by_ranges_leads_to_no_other_file(worker: Worker, tmp_path: Path) -> None:
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["lab"], file["data"] = "a secret", numpy.arange(100)
        file["series"] = numpy.arange(100)
    with h5py.File(tmp_path / "evil.nwb", "w") as file:
        file["general"] = h5py.ExternalLink(str(secret), "/")
        for name in ("linked", "virtual", "outside"):
            file.create_group(f"acquisition/{name}").attrs["neurodata_type"] = "TimeSeries"
        file["acquisition/linked/data"] = h5py.ExternalLink(str(secret), "/data")
        layout = h5py.VirtualLayout((100,), "i8")
        layout[:] = h5py.VirtualSource(str(secret), "data", (100,))
        file["acquisition/virtual"].create_virtual_dataset("data", layout)
        file["acquisition/outside"].create_dataset("data", (100,), "i8", external=[(str(secret), 0, 800)])
        file["loop"] = h5py.SoftLink("/loop")
    held = Held((tmp_path / "evil.nwb").read_bytes())
    found = worker.preview_of_blocks(held.size, held.block, blocks_of(held, Budget()))
    assert found["plots"] == [] and found["facts"] == []
