"""Previews of Zarrs: what is in them, the levels of an image, and a picture that never shows what is not there."""

from __future__ import annotations

import json
import pickle
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from dandi_mirror.catalogue.parts import BYTES, REQUESTS
from dandi_mirror.catalogue.preview_form import checked
from dandi_mirror.embedded import Archive
from dandi_mirror.upload.read.worker import FileError, Worker
from tests.conftest import MirrorOfTest
from tests.support.browser import browsing, problems
from tests.support.catalogues import EVIL, build, part
from tests.support.serving_mirrors import served
from tests.support.waiting import wait_until
from tests.support.zarr_folders import write_ome
from tests.support.zarrs import a_zarr

PATH = "sub-1/sub-1_sample-1.ome.zarr"
EVIL_FILE = Path(tempfile.gettempdir()) / "dandi-mirror-test-pickle-ran"
Files = dict[str, bytes]


def image(folder: Path, form: int = 2, levels: int = 3) -> Files:
    """The entries of an OME-Zarr."""
    top = write_ome(folder, form, levels=levels)
    return {str(path.relative_to(top)): path.read_bytes() for path in sorted(top.rglob("*")) if path.is_file()}


def of(worker: Worker, files: Mapping[str, bytes], lacking: str = "") -> Any:
    """What the worker tells of a Zarr; of the ``lacking`` entry it gets nothing."""
    metadata = [path for path in files if path.rpartition("/")[2].startswith((".z", "zarr.json"))]

    def give(asked: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        path = asked["entry"]
        given = path in files and path != lacking
        told = {"listed": path in files, "given": given, "why": "it is not here", "requests": 100, "left": 10**6}
        return told, files[path] if given else b""

    found = worker.preview_of_zarr({"metadata": metadata, "chunks": {}}, give)
    return checked(json.dumps(found).encode())


@pytest.mark.parametrize("form", [2, 3])
def test_an_image_has_its_levels_and_a_picture_of_the_smallest(worker: Worker, tmp_path: Path, form: int) -> None:
    found = of(worker, image(tmp_path / "z", form))
    (scale,) = found.images
    assert [level.shape for level in scale.levels] == [[32, 32], [16, 16], [8, 8]]
    assert scale.levels[0].chunks == [8, 8] and scale.axes == ["y", "x"] and not scale.without
    (picture,) = found.plots
    assert (picture.width, picture.height) == (8, 8)
    assert {node.path for node in found.tree} == {"/0", "/1", "/2"}


def test_a_chunk_that_is_listed_and_does_not_come_is_never_shown_as_fill_values(worker: Worker, tmp_path: Path) -> None:
    files = image(tmp_path / "z", levels=2)
    found = of(worker, files, lacking="1/1.1")
    assert not found.plots and "not here" in found.images[0].without
    del files["1/1.1"]  # the archive has no such chunk, so its values are the fill value
    found = of(worker, files)
    assert "1 of the 4 chunks" in found.plots[0].title
    for path in ("1/0.0", "1/0.1", "1/1.0"):
        del files[path]
    assert not of(worker, files).plots


def _pickled(files: Files) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
            return Path.touch, (EVIL_FILE,)  # type: ignore[return-value]

    about = json.loads(files["1/.zarray"])
    about |= {"dtype": "|O", "filters": [{"id": "pickle"}], "compressor": None, "fill_value": None}
    files["1/.zarray"] = json.dumps(about).encode()
    files["1/0.0"] = pickle.dumps(Evil())


def _changed(**values: Any) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        files["1/.zarray"] = json.dumps(json.loads(files["1/.zarray"]) | values).encode()

    return change


def _other_bytes(files: Files) -> None:
    files["1/0.0"] = b"\xff" * 100


@pytest.mark.parametrize("harm", [
    _pickled, _other_bytes, _changed(shape=[10**9, 10**9]), _changed(chunks=[10**6, 10**6]), _changed(chunks=[0, 8]),
    _changed(chunks=[1, 1], shape=[400, 400]), _changed(shape="large"), _changed(shape=[-1, 8]),
    _changed(dtype=[["a", "<i4"]]),
    _changed(compressor={"id": "zfpy"}), _changed(compressor="zlib"), _changed(dimension_separator="../"),
])  # fmt: skip
def test_a_hostile_array_has_no_picture(worker: Worker, tmp_path: Path, harm: Callable[[Files], None]) -> None:
    files = image(tmp_path / "z", levels=2)
    about = json.loads(files["1/.zarray"])
    assert about["shape"] == [16, 16]
    about["shape"] = [8, 8]  # one chunk
    files["1/.zarray"] = json.dumps(about).encode()
    harm(files)
    found = of(worker, files)
    assert not any(plot.title.startswith("/1,") for plot in found.plots)
    assert not EVIL_FILE.exists()


def test_hostile_metadata_is_text_or_nothing(worker: Worker, tmp_path: Path) -> None:
    good = image(tmp_path / "z", levels=1)
    for attributes in (
        {"multiscales": EVIL},
        {"multiscales": [EVIL, None, {"datasets": [EVIL, {"path": EVIL}], "axes": EVIL, "name": EVIL}]},
        {"multiscales": [{"datasets": [{"path": "../../0"}] * 1000}] * 1000}, {"ome": [1]},
    ):  # fmt: skip
        of(worker, good | {".zattrs": json.dumps(attributes).encode()})
    of(worker, good | {".zattrs": b"[" * 100_000, ".zmetadata": b"{}"})
    for content in (b"", b"\0", b"[]", b"nonsense"):
        with pytest.raises(FileError, match="metadata"):
            of(worker, {"zarr.json": content})


def test_the_structure_of_an_nwb_zarr_names_its_types(worker: Worker) -> None:
    array = {"shape": [10, 4], "chunks": [5, 4], "dtype": "<f4", "zarr_format": 2}
    metadata = {".zattrs": {"neurodata_type": "NWBFile"}, ".zgroup": {}, "acquisition/.zgroup": {},
                "acquisition/raw/.zgroup": {}, "acquisition/raw/.zattrs": {"neurodata_type": "ElectricalSeries"},
                "acquisition/raw/data/.zarray": array}  # fmt: skip
    files = {".zmetadata": json.dumps({"metadata": metadata}).encode()}
    nodes = {node.path: node for node in of(worker, files).tree}
    assert nodes["/acquisition/raw"].type == "ElectricalSeries"
    assert nodes["/acquisition/raw/data"].shape == "10 × 4 <f4, in chunks of 5 × 4"


@pytest.fixture
def mirrored(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> MirrorOfTest:
    """A mirror without content of a Zarr."""
    a_zarr(archive.create_dandiset("000123", "With a Zarr"), PATH, image(tmp_path / "z"))
    mirror.cli("sync", "000123")
    mirror.server.requests.clear()
    return mirror


def preview(pages: Path) -> Any:
    """The one preview in a catalogue."""
    (path,) = pages.glob("d/000123/preview-*.js")
    return part(path)


def content_requests(mirror: MirrorOfTest) -> int:
    """How often content of Zarrs was asked for."""
    return sum("/zarr/" in request.path for request in mirror.server.requests)


def test_a_zarr_is_looked_into_by_few_requests_and_only_when_asked(mirrored: MirrorOfTest, tmp_path: Path) -> None:
    build(mirrored, tmp_path / "pages", "--previews")
    assert mirrored.server.requests == [] and "not in this mirror" in preview(tmp_path / "pages")["error"]
    build(mirrored, tmp_path / "pages", "--previews", "all")
    found = preview(tmp_path / "pages")
    assert found["images"][0]["levels"][2]["shape"] == [8, 8] and found["plots"] and found["ranges"]
    assert 0 < content_requests(mirrored) <= REQUESTS and BYTES
    mirrored.server.requests.clear()
    build(mirrored, tmp_path / "other", "--previews", "all")
    assert mirrored.server.requests == [] and preview(tmp_path / "other") == found


def test_from_what_is_here_a_picture_is_made_only_of_all_its_chunks(mirrored: MirrorOfTest, tmp_path: Path) -> None:
    mirrored.cli("hold", "--max-size", "1T")
    mirrored.server.requests.clear()
    build(mirrored, tmp_path / "pages", "--previews")
    assert preview(tmp_path / "pages")["plots"] and mirrored.server.requests == []
    chunk = (tmp_path / "z" / "2" / "0.0").read_bytes()
    for path in mirrored.path.rglob("*/annex/objects/**/MD5*"):
        if path.is_file() and path.read_bytes() == chunk:
            path.parent.chmod(0o755)
            path.unlink()
    shutil.rmtree(mirrored.path / ".dandi-mirror" / "previews")
    build(mirrored, tmp_path / "other", "--previews")
    found = preview(tmp_path / "other")
    assert not found["plots"] and "not all of its chunks" in found["images"][0]["without"]
    assert mirrored.server.requests == []


def test_the_server_shows_the_levels_and_the_picture(mirrored: MirrorOfTest) -> None:
    with served(mirrored) as address, browsing() as browser:
        top = address.removesuffix("/api")
        wait_until(lambda: requests.get(f"{top}/d/000123/", timeout=60).status_code == 200)
        with browser.page(f"{top}/d/000123/#file={PATH}") as page:
            page.wait_for_selector("#file .preview img")
            said = page.locator("#file .preview").inner_text()
            assert "32 × 32" in said and "8 × 8" in said and "axes: y, x" in said
            assert problems(page) == []
        assert not browser.complaints
