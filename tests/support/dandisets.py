"""A small Dandiset, and what a report says of it."""

from __future__ import annotations

from dandi_mirror.embedded import Archive, Dandiset
from tests.support.credentials import TOKEN


def seed(archive: Archive, files: int = 3) -> Dandiset:
    dandiset = archive.create_dandiset("000123", name="A test")
    for number in range(files):
        path = f"sub-{number}/sub-{number}_ses-1_ecephys.nwb"
        dandiset.add_asset(path, archive.add_blob(f"content {number}".encode()), metadata=participant(f"m{number}"))
    return dandiset


def seed_owned(archive: Archive) -> Dandiset:
    """The same Dandiset, owned by the user whose API key is ``TOKEN``; another user owns nothing."""
    archive.add_user("me@example.org", TOKEN, name="Olive Owner")
    archive.add_user("other@example.org", "f" * 40)
    dandiset = seed(archive)
    dandiset.owners.append("me@example.org")
    return dandiset


def participant(name: str) -> dict[str, object]:
    person = {"schemaKey": "Participant", "identifier": name, "sex": {"name": "Female"}, "age": {"value": "P9D"}}
    return {"wasAttributedTo": [person | {"species": {"name": "Mus musculus - House mouse"}}]}


def kinds(report: object) -> list[tuple[str, str]]:
    return [(finding.kind, finding.path) for finding in report.findings]  # type: ignore[attr-defined]
