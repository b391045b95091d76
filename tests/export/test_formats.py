"""Each format is judged by its own validator."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dandi_mirror.embedded import Archive
from tests.conftest import MirrorOfTest
from tests.support.exporting import CONTENT, META, ODD, TITLE, V1, below, export, graph
from tests.support.judges import judge_crate, judge_croissant
from tests.support.plain_zarrs import PATH, plain, synced


def test_a_metalink_lists_each_file_with_its_size_checksum_and_places(published: MirrorOfTest, tmp_path: Path) -> None:
    said = export(published, "metalink", tmp_path / "x.meta4")
    assert f"{tmp_path}/x.meta4: 5 files, 40 bytes" in said and published.server.requests == []
    root = ElementTree.parse(tmp_path / "x.meta4").getroot()
    files = {file.get("name"): file for file in root.iter(f"{META}file")}
    assert files.keys() == CONTENT.keys()
    for record in published.records(V1):
        file = files[record["path"]]
        assert [each.text for each in file.iter(f"{META}hash")] == [record["metadata"]["digest"]["dandi:sha2-256"]]
        assert [each.text for each in file.iter(f"{META}size")] == [str(len(CONTENT[record["path"]]))]
        places = [str(each.text) for each in file.iter(f"{META}url")]
        assert places[-1] == f"{published.server.api_url}/assets/{record['asset_id']}/download/"
        assert record["path"] == "README.md" or "/blobs/" in places[0], "S3 first"
    assert files[ODD].findtext(f"{META}identity") == TITLE


def test_a_download_program_brings_what_a_metalink_lists(published: MirrorOfTest, tmp_path: Path) -> None:
    if not shutil.which("aria2c"):
        pytest.skip("aria2c is not installed (Debian package aria2)")
    export(published, "metalink", tmp_path / "x.meta4")
    (tmp_path / "came").mkdir()
    typed = ["aria2c", "--no-conf", "-q", "-V", "-d", str(tmp_path / "came"), "-M", str(tmp_path / "x.meta4")]
    done = subprocess.run(typed, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    # aria2 takes & in a name for &#38;, as libxml2 gives it
    assert {name.replace("&#38;", "&"): content for name, content in below(tmp_path / "came").items()} == CONTENT


def test_the_entries_of_a_zarr_are_files_of_a_metalink(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    files = plain(tmp_path / "made", 2)
    synced(archive, mirror, files)
    export(mirror, "metalink", tmp_path / "x.meta4", what="000123@draft")
    root = ElementTree.parse(tmp_path / "x.meta4").getroot()
    names = {file.get("name"): file.find(f"{META}hash") for file in root.iter(f"{META}file")}
    for path in files:
        found = names[f"{PATH}/{path}"]
        assert found is not None and found.get("type") == "md5"
    said = export(mirror, "croissant", tmp_path / "x.json", what="000123@draft", code=3)
    assert f"left out: {PATH}: a Zarr, of which the archive has no SHA-256" in said
    judge_croissant(tmp_path / "x.json")
    export(mirror, "bagit", tmp_path / "bag", what="000123@draft", code=3)
    export(mirror, "ro-crate", tmp_path / "x-ro-crate-metadata.json", what="000123@draft")
    (zarr,) = (one for one in graph(tmp_path / "x-ro-crate-metadata.json").values() if one.get("name") == PATH)
    assert zarr["@type"] == "Dataset"


def test_a_crate_satisfies_the_validator_of_its_makers(published: MirrorOfTest, tmp_path: Path) -> None:
    file = tmp_path / "000123-ro-crate-metadata.json"
    export(published, "ro-crate", file)
    assert published.server.requests == []
    said = judge_crate(file, tmp_path)
    assert said["passed"] and not said["issues"], said["issues"]
    found = graph(file)
    root = found[found["ro-crate-metadata.json"]["about"]["@id"]]
    assert root["name"] == TITLE and root["keywords"] == ["mouse"] and len(root["hasPart"]) == 5
    assert {found[part["@id"]]["localPath"] for part in root["hasPart"]} == CONTENT.keys()
    (person,) = (found[one["@id"]] for one in root["creator"])
    assert (person["familyName"], person["identifier"]) == ("Müller", "https://orcid.org/0000-0001-2345-6789")
    assert "secret@example.org" not in file.read_text()


def test_the_library_of_crates_reads_a_crate(published: MirrorOfTest, tmp_path: Path) -> None:
    from rocrate.rocrate import ROCrate

    (tmp_path / "crate").mkdir()
    export(published, "ro-crate", tmp_path / "crate" / "ro-crate-metadata.json")
    crate = ROCrate(tmp_path / "crate")
    assert crate.root_dataset["name"] == TITLE
    assert {entity["name"] for entity in crate.data_entities} == CONTENT.keys()


def test_croissant_satisfies_the_validator_of_its_makers(published: MirrorOfTest, tmp_path: Path) -> None:
    export(published, "croissant", tmp_path / "x.json")
    assert published.server.requests == []
    found = judge_croissant(tmp_path / "x.json").metadata
    assert found.name == TITLE
    assert {file.name for file in found.distribution} == CONTENT.keys()
    hashes = {file.name: file.sha256 for file in found.distribution}
    records = {record["path"]: record["metadata"]["digest"]["dandi:sha2-256"] for record in published.records(V1)}
    assert hashes == records
