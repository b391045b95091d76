"""A repository in which somebody has replaced objects: git shows other content under the hash of a version."""

from __future__ import annotations

from dandi_mirror.embedded import Archive
from tests.conftest import MirrorOfTest, run


def test_a_version_is_what_its_hash_says_and_verify_names_the_replacement(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    dandiset = archive.create_dandiset("000123", name="Hippocampus of mice")
    dandiset.add_asset("sub-a/sub-a.nwb", archive.add_blob(b"a"))
    dandiset.publish("0.240101.0000")
    dandiset.add_asset("sub-b/sub-b.nwb", archive.add_blob(b"b"))
    dandiset.publish("0.250101.0000")
    mirror.cli("sync", "000123")
    place = str(mirror.path / "000123")
    before = [run("dandi-mirror", *ask, "-d", str(mirror.path)).stdout for ask in ASKS]
    versions = [mirror.git("rev-parse", f"{version}^{{commit}}") for version in ("0.240101.0000", "0.250101.0000")]
    run("git", "-C", place, "replace", *versions)
    assert "sub-b" in run("git", "-C", place, "ls-tree", "-r", "0.240101.0000").stdout, "git itself shows the other one"

    assert [run("dandi-mirror", *ask, "-d", str(mirror.path)).stdout for ask in ASKS] == before
    found = mirror.cli("verify", code=7).stdout
    assert f"refs/replace/{versions[0]}" in found and "the tag was moved" not in found
    remedy = f"git -C {place} replace -d {versions[0]}"
    assert remedy in found
    run(*remedy.split())
    mirror.cli("verify")


ASKS = (
    ("cite", "000123@0.240101.0000"),
    ("ls", "000123@0.240101.0000", "-r"),
    ("download", "000123@0.240101.0000", "-n"),
    ("log", "000123"),
)
