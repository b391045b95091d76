"""The archive that the demo and ``archive serve`` show: recorded history, and real NWB files made here."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

from dandi_mirror.demo.replay import play, read_history
from dandi_mirror.embedded import Archive, Blob, Objects

SMALL = "000888"
"""The Dandiset of files made here."""
FIRST, SECOND = "0.240301.1200", "0.240415.0930"
SUBJECT_FILE = "sub-mouse1/sub-mouse1_ses-day1_ecephys.nwb"
_METADATA: dict[str, Any] = {
    "description": "A voltage of two mice on three days, made for the demo of dandi-mirror.",
    "license": ["spdx:CC0-1.0"],
    "contributor": [
        {
            "schemaKey": "Person",
            "name": "Example, Erika",
            "roleName": ["dcite:Author", "dcite:ContactPerson"],
            "includeInCitation": True,
        }
    ],
}
_SESSION = datetime(2024, 2, 1, 9, 0, tzinfo=UTC)


def demo_archive(s3: Objects | None = None) -> Archive:
    """An archive with Dandiset 000004 as it was recorded and a small one of real NWB files.

    With ``s3`` their content is kept there.
    """
    archive = Archive(instance_name="DANDI", doi_prefix="10.48324", s3=s3)
    for _ in play(archive, read_history()):
        pass
    add_small_dandiset(archive)
    return archive


def add_small_dandiset(archive: Archive) -> None:
    """A Dandiset of NWB files and a table: two published versions, then a draft that has moved on."""
    created = "2024-02-20T08:00:00Z"
    dandiset = archive.create_dandiset(SMALL, name="Two mice and a voltage", created=created, metadata=_METADATA)
    table = b"participant_id\tspecies\nsub-mouse1\tMus musculus\nsub-mouse2\tMus musculus\n"
    first = datetime(2024, 2, 20, 9, 0, tzinfo=UTC)
    dandiset.add_asset("participants.tsv", archive.add_blob(table), {"encodingFormat": "text/plain"}, created=first)
    for number, (subject, day) in enumerate([("mouse1", 1), ("mouse1", 2), ("mouse2", 1)]):
        dandiset.add_asset(
            nwb_path(subject, day),
            nwb_blob(archive, subject, day),
            nwb_metadata(subject),
            created=first + timedelta(minutes=number + 1),
        )
    dandiset.draft.modified = "2024-03-01T11:00:00Z"
    dandiset.publish(FIRST, created="2024-03-01T12:00:00Z")
    dandiset.add_asset(
        nwb_path("mouse2", 2), nwb_blob(archive, "mouse2", 2), nwb_metadata("mouse2"), created="2024-04-10T10:00:00Z"
    )
    dandiset.publish(SECOND, created="2024-04-15T09:30:00Z")
    dandiset.rename_asset(nwb_path("mouse2", 2), nwb_path("mouse2", 3))
    dandiset.draft.modified = "2024-05-02T10:15:00Z"


def nwb_path(subject: str, day: int) -> str:
    """As ``dandi organize`` names it."""
    return f"sub-{subject}/sub-{subject}_ses-day{day}_ecephys.nwb"


def nwb_metadata(subject: str) -> dict[str, Any]:
    """The archive's metadata of such a file."""
    return {
        "encodingFormat": "application/x-nwb",
        "approach": [{"schemaKey": "ApproachType", "name": "electrophysiological approach"}],
        "measurementTechnique": [{"schemaKey": "MeasurementTechniqueType", "name": "spike sorting technique"}],
        "variableMeasured": [{"schemaKey": "PropertyValue", "value": "ElectricalSeries"}],
        "wasAttributedTo": [
            {
                "schemaKey": "Participant",
                "identifier": subject,
                "species": {"schemaKey": "SpeciesType", "name": "Mus musculus - House mouse"},
                "sex": {"schemaKey": "SexType", "name": "Female"},
                "age": {"schemaKey": "PropertyValue", "value": "P90D"},
            }
        ],
    }


def nwb_blob(archive: Archive, subject: str, day: int) -> Blob:
    """A real NWB file's content, known to the archive."""
    return archive.add_blob(nwb_file(subject, day))


def nwb_file(subject: str, day: int) -> bytes:
    """The bytes of an NWB file with one time series of a subject's voltage, in volts."""
    import h5py
    import numpy
    from pynwb import NWBHDF5IO, NWBFile, TimeSeries
    from pynwb.file import Subject

    start = _SESSION + timedelta(days=day)
    nwb = NWBFile(
        session_description="a voltage", identifier=f"{subject}-{day}", session_start_time=start,
        session_id=f"day{day}", file_create_date=[start],
        subject=Subject(subject_id=subject, species="Mus musculus", sex="F", age="P90D"),
    )  # fmt: skip
    time = numpy.arange(1000) / 1000.0
    nwb.add_acquisition(TimeSeries(name="voltage", data=numpy.sin(time * day), unit="V", rate=1000.0))
    content = io.BytesIO()
    with h5py.File(content, "w") as file, NWBHDF5IO(file=file, mode="w") as writer:
        writer.write(nwb)
    return content.getvalue()
