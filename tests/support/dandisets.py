"""A small Dandiset, and what a report says of it."""

from __future__ import annotations

from dandi_mirror.embedded import Archive, Dandiset


def seed(archive: Archive, files: int = 3) -> Dandiset:
    dandiset = archive.create_dandiset("000123", name="A test")
    for number in range(files):
        path = f"sub-{number}/sub-{number}_ses-1_ecephys.nwb"
        dandiset.add_asset(path, archive.add_blob(f"content {number}".encode()), metadata=participant(f"m{number}"))
    return dandiset


def participant(name: str) -> dict[str, object]:
    person = {"schemaKey": "Participant", "identifier": name, "sex": {"name": "Female"}, "age": {"value": "P9D"}}
    return {"wasAttributedTo": [person | {"species": {"name": "Mus musculus - House mouse"}}]}


def kinds(report: object) -> list[tuple[str, str]]:
    return [(finding.kind, finding.path) for finding in report.findings]  # type: ignore[attr-defined]
