"""An NWB file with something to draw of each kind."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path


def write_recording(path: Path) -> Path:
    """A voltage with one peak, a position, images, and the spikes of two units."""
    import numpy
    from pynwb import NWBHDF5IO, NWBFile, TimeSeries
    from pynwb.behavior import SpatialSeries
    from pynwb.file import Subject
    from pynwb.image import ImageSeries

    nwb = NWBFile(
        session_description="a recording", identifier="recording", session_id="s1",
        session_start_time=datetime(2024, 2, 1, 9, tzinfo=UTC),
        subject=Subject(subject_id="m1", species="Mus musculus", sex="F", age="P90D"),
    )  # fmt: skip
    waves = numpy.sin(numpy.arange(5000) / 50)
    waves[1234] = 100.0
    nwb.add_acquisition(TimeSeries(name="voltage", data=waves, unit="V", rate=1000.0, starting_time=12345.0))
    turns = numpy.linspace(0, 12, 300)
    around = numpy.stack([numpy.cos(turns) * turns, numpy.sin(turns) * turns], axis=1)
    nwb.add_acquisition(SpatialSeries(name="position", data=around, rate=30.0, unit="m", reference_frame="the corner"))
    frames = numpy.add.outer(numpy.arange(150), numpy.arange(200)) % 256
    nwb.add_acquisition(ImageSeries(name="camera", data=numpy.stack([frames] * 3).astype("u1"), rate=30.0, unit="n.a."))
    nwb.add_unit(spike_times=[100.0, 100.5, 101.0, 109.0, 500.0])
    nwb.add_unit(spike_times=[100.25, 102.0, 105.0])
    with NWBHDF5IO(path, "w") as writer:
        writer.write(nwb)
    return path


def write_large_recording(path: Path, megabytes: int = 30) -> Path:
    """A recording in chunks, larger than a preview may read, with spikes and an image behind it."""
    import numpy
    from hdmf.backends.hdf5 import H5DataIO
    from pynwb import NWBHDF5IO, NWBFile, TimeSeries
    from pynwb.file import Subject
    from pynwb.image import ImageSeries

    chance = numpy.random.default_rng(1)
    nwb = NWBFile(
        session_description="a large recording", identifier="large", session_id="s9", lab="a laboratory",
        session_start_time=datetime(2024, 2, 1, 9, tzinfo=UTC),
        subject=Subject(subject_id="m9", species="Mus musculus", sex="M", age="P60D"),
    )  # fmt: skip
    for name in ("left", "right"):
        samples = chance.integers(-500, 500, (megabytes * 4096, 64), dtype="i2")
        stored = H5DataIO(samples, chunks=(2000, 64))
        nwb.add_acquisition(TimeSeries(name=name, data=stored, unit="V", rate=30000.0, starting_time=0.0))
    frames = H5DataIO(chance.integers(0, 255, (20, 128, 160), dtype="u1"), chunks=(1, 128, 160), compression="gzip")
    nwb.add_acquisition(ImageSeries(name="camera", data=frames, rate=30.0, unit="n.a."))
    for number in range(50):
        nwb.add_unit(spike_times=numpy.sort(chance.uniform(0, 60, 400)) + number / 100)
    with NWBHDF5IO(path, "w") as writer:
        writer.write(nwb)
    return path
