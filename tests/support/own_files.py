"""A filled mirror, and every file of a folder."""

from __future__ import annotations

from pathlib import Path

from dandi_mirror.embedded import Archive
from tests.conftest import MirrorOfTest


def fill(archive: Archive, mirror: MirrorOfTest) -> None:
    """A mirror of a Dandiset that has moved on since."""
    dandiset = archive.create_dandiset("000123", name="Hippocampus of mice")
    dandiset.add_asset("sub-a/sub-a.nwb", archive.add_blob(b"a"))
    assert mirror.sync().status == "ok"
    dandiset.add_asset("sub-b/sub-b.nwb", archive.add_blob(b"b"))


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """All that is in a folder."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in folder.rglob("*")
    }
