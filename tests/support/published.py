"""A Dandiset with a published version, for siblings."""

from __future__ import annotations

from dandi_mirror.embedded import Archive, Dandiset

TAG = "0.240101.0000"


def seed(archive: Archive, dandiset: str) -> Dandiset:
    made = archive.create_dandiset(dandiset, name=f"Test {dandiset}")
    made.add_asset("a.nwb", archive.add_blob(f"content of {dandiset}".encode()))
    made.publish(TAG, created="2024-01-01T00:00:00Z")
    return made
