"""Two Dandisets that are searched, and how a test asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dandi_mirror.embedded import Archive, Dandiset
from dandi_mirror.mirror.search.index import opened, path_of, update_index
from dandi_mirror.mirror.search.query import parse_query
from dandi_mirror.mirror.search.search import SearchResult, search
from dandi_mirror.mirror.state.layout import Mirror
from tests.conftest import MirrorOfTest, run
from tests.support.dandisets import participant

TAG = "0.240101.0000"


def nwb(subject: str, **more: object) -> dict[str, Any]:
    return {"encodingFormat": "application/x-nwb", **participant(subject), **more}


def mice(archive: Archive) -> Dandiset:
    made = archive.create_dandiset("000123", name="Hippocampus of mice")
    made.set_metadata({**made.draft.metadata, "keywords": ["place cells"], "description": "Spikes in the dark."})
    technique = [{"name": "spike sorting technique"}]
    made.add_asset("sub-a/sub-a_ses-1_ecephys.nwb", archive.add_blob(b"one"), metadata=nwb("a"))
    made.add_asset("sub-b/sub-b_ses-2.nwb", archive.add_blob(b"two"), metadata=nwb("b", measurementTechnique=technique))
    made.publish(TAG, created="2024-01-01T00:00:00Z")
    made.rename_asset("sub-b/sub-b_ses-2.nwb", "sub-b/sub-b_ses-3.nwb")
    return made


def people(archive: Archive) -> Dandiset:
    made = archive.create_dandiset("000200", name="Sleep in people")
    person = {"identifier": "P1", "species": {"name": "Homo sapiens - Human"}, "sex": {"name": "Male"}}
    metadata = {"wasAttributedTo": [person], "encodingFormat": "video/mp4"}
    made.add_asset("sub-P1/night 1/sub-P1_video.mp4", archive.add_blob(b"three"), metadata=metadata)
    made.add_asset("sub-P1/copy.nwb", archive.add_blob(b"one"), metadata=nwb("P1"))
    return made


def filled(archive: Archive, mirror: MirrorOfTest) -> MirrorOfTest:
    mice(archive), people(archive)
    assert mirror.sync().exit_code == 0
    assert mirror.sync("000200").exit_code == 0
    mirror.server.requests.clear()
    return mirror


def ask(made: MirrorOfTest, *arguments: str, code: int = 0, cwd: Path | None = None) -> tuple[str, str]:
    done = run("dandi-mirror", *arguments, cwd=cwd or made.path, code=code)
    assert made.server.requests == [], "the archive was not asked"
    return done.stdout, done.stderr


def answer(made: MirrorOfTest, *query: str, old: bool = False) -> SearchResult:
    mirror = Mirror(made.path)
    update_index(mirror, lambda dandiset, doing: None)
    with opened(path_of(mirror)) as database:
        return search(database, parse_query(query), old=old, most=10, most_files=10)


def paths(found: SearchResult) -> list[str]:
    return [f"{dandiset.dandiset}@{hit.version}/{hit.path}" for dandiset in found.found for hit in dandiset.hits]


A, OLD_B, B = (
    f"000123@{TAG}/sub-a/sub-a_ses-1_ecephys.nwb",
    f"000123@{TAG}/sub-b/sub-b_ses-2.nwb",
    "000123@draft/sub-b/sub-b_ses-3.nwb",
)
