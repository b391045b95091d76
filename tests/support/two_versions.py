"""A mirror of a Dandiset with two versions that differ."""

from __future__ import annotations

from dandi_mirror.embedded import Archive, Dandiset
from tests.conftest import MirrorOfTest
from tests.support.dandisets import participant

FIRST, SECOND = "0.240101.0000", "0.240201.0000"


def seeded(archive: Archive, files: int = 3) -> Dandiset:
    """A Dandiset with two versions and a draft; each of the ways in which files change is between the first two."""
    made = archive.create_dandiset("000123", name="A test")
    for number in range(files):
        path = f"sub-{number}/sub-{number}_ses-1_ecephys.nwb"
        made.add_asset(path, archive.add_blob(f"content {number}".encode()), metadata=participant(f"m{number}"))
    for name in ("twin-a", "twin-b"):
        made.add_asset(f"old/{name}.nwb", archive.add_blob(b"the same in both"), metadata=participant("m0"))
    made.publish(FIRST, created="2024-01-01T00:00:00Z")
    made.delete_asset("sub-0/sub-0_ses-1_ecephys.nwb")
    made.replace_asset("sub-1/sub-1_ses-1_ecephys.nwb", archive.add_blob(b"other content"), participant("m1"))
    old = participant("m2")
    old["wasAttributedTo"][0]["sex"]["name"] = "Male"  # type: ignore[index]
    made.replace_asset("sub-2/sub-2_ses-1_ecephys.nwb", archive.add_blob(b"content 2"), old)
    for name in ("twin-a", "twin-b"):
        made.rename_asset(f"old/{name}.nwb", f"new/{name}.nwb")
    made.add_asset("sub-9/sub-9_ses-7.nwb", archive.add_blob(b"new"), metadata=participant("m9"))
    made.publish(SECOND, created="2024-02-01T00:00:00Z")
    made.add_asset("later.nwb", archive.add_blob(b"later"), metadata=participant("m9"))
    return made


def filled(archive: Archive, mirror: MirrorOfTest) -> MirrorOfTest:
    seeded(archive)
    assert mirror.sync().exit_code == 0
    mirror.server.requests.clear()
    return mirror
