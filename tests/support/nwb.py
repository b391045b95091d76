"""NWB files as labs have them, and some that nobody should have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from dandi_mirror.demo.seed import nwb_file


def write_nwb(
    path: Path, subject: str | None = "m1", session: str | None = "s1", *, day: int = 1, videos: tuple[str, ...] = ()
) -> Path:
    """An NWB file of one voltage, with an ImageSeries that refers to ``videos``, if any."""
    import numpy
    from pynwb import NWBHDF5IO, NWBFile, TimeSeries
    from pynwb.file import Subject
    from pynwb.image import ImageSeries

    path.parent.mkdir(parents=True, exist_ok=True)
    person = Subject(subject_id=subject, species="Mus musculus", sex="F", age="P90D")
    nwb = NWBFile(
        session_description="a voltage", identifier=f"{path.name}-{day}", session_id=session,
        session_start_time=datetime(2024, 2, 1, 9, tzinfo=UTC) + timedelta(days=day),
        subject=None if subject is None else person,
    )  # fmt: skip
    nwb.add_acquisition(TimeSeries(name="voltage", data=numpy.arange(50.0), unit="V", rate=100.0))
    if videos:
        nwb.add_acquisition(
            ImageSeries(name="camera", external_file=list(videos), starting_frame=[0] * len(videos),
                        timestamps=[0.0, 1.0], format="external", unit="n.a."))  # fmt: skip
    with NWBHDF5IO(path, "w") as writer:
        writer.write(nwb)
    return path


def truncated(path: Path) -> Path:
    """A file that was cut off."""
    path.write_bytes(nwb_file("m9", 1)[:6000])
    return path


def videos_of(path: Path) -> list[str]:
    """What an NWB file refers to."""
    from pynwb import NWBHDF5IO

    with NWBHDF5IO(path, "r") as reader:
        return [str(name) for name in reader.read().acquisition["camera"].external_file]


def write_spikes(path: Path, subject: str) -> Path:
    """An NWB file with the spikes of three units, the same bytes in every respect that a reader sees."""
    from pynwb import NWBHDF5IO, NWBFile
    from pynwb.file import Subject

    nwb = NWBFile(
        session_description="spikes", identifier="spikes", session_start_time=datetime(2006, 9, 1, tzinfo=UTC),
        subject=Subject(subject_id=subject, species="Homo sapiens", sex="F", age="P40Y"),
    )  # fmt: skip
    for unit in range(3):
        nwb.add_unit(id=unit, spike_times=[0.5 + spike / (unit + 1) for spike in range(10 * (unit + 1))])
    with NWBHDF5IO(path, "w") as writer:
        writer.write(nwb)
    return path
