"""Previews of NWB files: made once for each content, in a process with limits; what a hostile file says stays text."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import h5py
import msgspec
import numpy
import pytest
import requests
from pynwb import NWBHDF5IO

from dandi_mirror.catalogue.preview_form import VERSION, checked, png
from dandi_mirror.catalogue.previews import Previews
from dandi_mirror.embedded import Archive
from dandi_mirror.files.own import own_path
from dandi_mirror.upload.read.worker import FileError, Worker
from tests.conftest import MirrorOfTest
from tests.support.browser import browsing, problems
from tests.support.catalogues import EVIL, build, files, part
from tests.support.nwb import truncated
from tests.support.recordings import write_recording
from tests.support.serving_mirrors import served
from tests.support.waiting import wait_until

PATH = "sub-m1/sub-m1_ses-s1_ecephys.nwb"


@pytest.fixture
def mirrored(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> MirrorOfTest:
    """A mirror with the content of a recording, and of a file that is none."""
    dandiset = archive.create_dandiset("000123", "With recordings")
    recording = write_recording(tmp_path / "made.nwb")
    dandiset.add_asset(PATH, archive.add_blob(recording.read_bytes()))
    dandiset.add_asset("sub-m2/broken.nwb", archive.add_blob(truncated(tmp_path / "cut.nwb").read_bytes()))
    dandiset.add_asset("sub-m2/away.nwb", archive.add_blob(b"not here"))
    mirror.cli("sync", "000123", "--get", "sub-m1/*", "--get", "sub-m2/broken.nwb")
    return mirror


def previews(pages: Path) -> list[Any]:
    """The previews in a catalogue."""
    return [part(path) for path in sorted(pages.glob("d/000123/preview-*.js"))]


def test_the_worker_tells_the_structure_the_facts_and_what_can_be_drawn(worker: Worker, tmp_path: Path) -> None:
    found = worker.preview(write_recording(tmp_path / "a.nwb"))
    assert checked(json.dumps(found).encode())
    assert ["subject id", "m1"] in found["facts"] and ["species", "Mus musculus"] in found["facts"]
    types = {node["path"]: node["type"] for node in found["tree"]}
    assert types["/acquisition/voltage"] == "TimeSeries" and types["/units"] == "Units"
    plots = {plot["kind"]: plot for plot in found["plots"]}
    assert set(plots) == {"traces", "path", "raster", "image"}
    (seconds, values), *_ = plots["traces"]["lines"]
    assert len(seconds) == len(values) <= 400 and max(values) == 100.0  # the one peak among 5,000 samples is kept
    assert seconds[0] == 0.0 and seconds[-1] == pytest.approx(2.0, abs=0.01)
    assert [len(row) for row in plots["raster"]["rows"]] == [4, 3] and plots["raster"]["rows"][0][0] == 0.0
    image = plots["image"]
    assert (image["width"], image["height"]) == (100, 75)
    assert len(base64.b64decode(image["pixels"])) == 7500


def test_each_content_is_read_once_and_shown_in_the_catalogue(mirrored: MirrorOfTest, tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    build(mirrored, pages)
    assert not previews(pages)
    build(mirrored, pages, "--previews")
    good, bad = sorted(previews(pages), key=lambda one: bool(one["error"]))
    assert good["plots"] and good["tree"] and "complete HDF5" in bad["error"]
    kept = sorted((mirrored.path / ".dandi-mirror" / "previews").rglob("*.json"))
    assert len(kept) == 2
    times = [path.stat().st_mtime_ns for path in kept]
    build(mirrored, tmp_path / "other", "--previews")
    assert [path.stat().st_mtime_ns for path in kept] == times
    assert files(pages) == files(tmp_path / "other")
    build(mirrored, pages)
    assert not previews(pages)


def test_a_preview_that_somebody_damaged_is_made_again(mirrored: MirrorOfTest, tmp_path: Path) -> None:
    build(mirrored, tmp_path / "pages", "--previews")
    for path in (mirrored.path / ".dandi-mirror" / "previews").rglob("*.json"):
        path.write_bytes(b'{"plots": [{"kind": "raster", "title": "x", "seconds": 1, "rows": [["<script>"]]}]}')
    build(mirrored, tmp_path / "other", "--previews")
    assert files(tmp_path / "pages") == files(tmp_path / "other")


@pytest.mark.quick
def test_what_is_not_in_the_form_of_a_preview_is_refused() -> None:
    image = {"kind": "image", "title": "x", "width": 2, "height": 2, "pixels": base64.b64encode(b"abcd").decode()}
    assert checked(json.dumps({"plots": [image]}).encode())
    for plot in (
        image | {"pixels": "YWJj"},
        image | {"pixels": "not base64"},
        image | {"width": 0},
        image | {"width": 100_000},
        image | {"kind": "script"},
        {"kind": "raster", "title": "x", "seconds": 1.0, "rows": [["evil"]]},
        {"kind": "traces", "title": "x", "unit": "", "lines": [[[0.0], [1.0, 2.0]]]},
        {"kind": "traces", "title": "x", "unit": "", "lines": [[[0.0] * 5000, [0.0] * 5000]]},
    ):
        with pytest.raises(msgspec.ValidationError):
            checked(json.dumps({"plots": [plot]}).encode())
    with pytest.raises(msgspec.DecodeError):
        checked(b'{"plots": [{"kind": "raster", "title": "x", "seconds": NaN, "rows": []}]}')
    with pytest.raises(msgspec.ValidationError):
        checked(json.dumps({"tree": [{"path": "x", "kind": "", "type": "", "shape": ""}] * 600}).encode())


def test_a_run_that_is_stopped_keeps_no_failure(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "a.nwb")
    with Previews(own_path(tmp_path / "kept")) as some:
        some.stop()
        with pytest.raises(FileError):
            some.script("0" * 64, recording)
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.quick
def test_an_image_becomes_a_png() -> None:
    made = png(3, 2, bytes(range(6)))
    assert made.startswith(b"\x89PNG\r\n\x1a\n") and b"IEND" in made


def test_hostile_files_cost_only_their_own_preview(worker: Worker, tmp_path: Path) -> None:
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["data"] = numpy.arange(10)
    hostile = tmp_path / "hostile.nwb"
    with h5py.File(hostile, "w") as file:
        file["outside"] = h5py.ExternalLink(str(secret), "/data")
    with pytest.raises(FileError, match="another file"):
        worker.preview(hostile)
    with h5py.File(hostile, "w") as file:
        for name in (EVIL[:60].replace("/", "|"), "\u202egnp", "\ud800", "x" * 5000):
            group = file.create_group(name.encode("utf-8", "surrogatepass"))
            group.attrs["neurodata_type"] = EVIL
        huge = file.create_group("acquisition/huge")
        huge.attrs["neurodata_type"] = "ElectricalSeries"
        huge.create_dataset("data", shape=(10**12, 10**6), chunks=(10, 10), dtype="f8")
        bomb = file.create_group("acquisition/bomb")
        bomb.attrs["neurodata_type"] = "TimeSeries"
        bomb.create_dataset("data", shape=(10**9,), chunks=(10**8,), dtype="f8", compression="gzip")
        odd = file.create_group("acquisition/odd")
        odd.attrs["neurodata_type"] = "TimeSeries"
        odd["data"] = numpy.array([numpy.nan, numpy.inf, 1.0, 2.0])
        picture = file.create_group("acquisition/picture")
        picture.attrs["neurodata_type"] = "ImageSeries"
        picture.create_dataset("data", shape=(10**6, 10**6, 10**6), chunks=(1, 64, 64), dtype="u1")
        virtual = file.create_group("acquisition/virtual")
        virtual.attrs["neurodata_type"] = "TimeSeries"
        layout = h5py.VirtualLayout((10,), "i8")
        layout[:] = h5py.VirtualSource(str(secret), "data", (10,))
        virtual.create_virtual_dataset("data", layout)
        units = file.create_group("units")
        units["spike_times"] = numpy.array([1.0, numpy.nan, 3.0])
        units["spike_times_index"] = numpy.array([2**60, -5], dtype="i8")
    found = checked(json.dumps(worker.preview(hostile)).encode())
    assert {plot.title.split(" ")[0] for plot in found.plots} <= {
        "/acquisition/huge", "/acquisition/odd", "/acquisition/picture"
    }  # fmt: skip


def test_the_server_makes_a_preview_when_somebody_looks_and_only_of_what_is_open(
    archive: Archive, mirrored: MirrorOfTest
) -> None:
    with served(mirrored) as address, browsing() as browser:
        top = address.removesuffix("/api")
        wait_until(lambda: requests.get(f"{top}/d/000123/", timeout=60).status_code == 200)
        assert requests.get(f"{top}/d/000123/preview-{VERSION}-{'0' * 32}.js", timeout=60).status_code == 404
        with browser.page(f"{top}/d/000123/#file={PATH}") as page:
            page.wait_for_selector("#file .preview svg")
            assert page.locator("#file .preview figure").count() == 4
            assert "Mus musculus" in page.locator("#file .preview").inner_text()
            assert page.locator("#file .preview img").evaluate("image => image.naturalWidth") == 100
            assert problems(page) == []
        assert not browser.complaints


def test_a_recording_of_the_test_is_one_that_pynwb_reads(tmp_path: Path) -> None:
    with NWBHDF5IO(write_recording(tmp_path / "a.nwb"), "r") as reader:
        assert set(reader.read().acquisition) == {"voltage", "camera", "position"}
