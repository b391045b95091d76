"""The notebooks of the docs, and the archive and the folder in which they are run."""

from __future__ import annotations

from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive, Server
from tests.support.dandisets import participant
from tests.support.nwb import write_spikes
from tests.support.pages import TOP

NOTEBOOKS = sorted((TOP / "docs" / "notebooks").glob("*.ipynb"))
SUBJECT = "sub-P10HMH/sub-P10HMH_ses-20060901_ecephys+image.nwb"


@pytest.fixture
def reader(archive: Archive, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and an archive with two versions of 000004."""
    dandiset = archive.create_dandiset("000004", name="A NWB-based dataset of single-neuron activity")
    people = [{"name": "Chandravadia, Nand", "includeInCitation": True, "schemaKey": "Person"}]
    dandiset.draft.given |= {"contributor": people, "keywords": ["cognitive neuroscience"]}
    dandiset.add_asset("sub-P11HMH/a.nwb", archive.add_blob(b"as it was"), metadata=participant("P11HMH"))
    dandiset.add_asset("sub-P14HMH/a.nwb", archive.add_blob(b"the same"), metadata=participant("P14HMH"))
    dandiset.add_asset("sub-P9HMH/a.nwb", archive.add_blob(b"never changed"), metadata=participant("P9HMH"))
    dandiset.publish("0.220126.1851", created="2022-01-26T18:51:00Z")
    dandiset.draft.given |= {"keywords": ["cognitive neuroscience", "memory"]}
    dandiset.replace_asset("sub-P11HMH/a.nwb", archive.add_blob(b"as it is now"))
    dandiset.rename_asset("sub-P14HMH/a.nwb", "sub-P14HMH/b.nwb")
    spikes = archive.add_blob(write_spikes(tmp_path / "made.nwb", "P10HMH").read_bytes())
    dandiset.add_asset(SUBJECT, spikes, metadata=participant("P10HMH"))
    dandiset.publish("0.220126.1852", created="2022-01-26T18:52:00Z")
    monkeypatch.setenv("DANDI_INSTANCE", server.api_url)
    folder = tmp_path / "reader"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder
