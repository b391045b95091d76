"""What a Zarr looks like in git."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dandi_mirror.embedded import Dandiset, Zarr
from tests.conftest import MirrorOfTest, run
from tests.support.zarr_sync import FILES, PATH, asked, commit_of, gitlinks, manifests, modules


@pytest.mark.quick
def test_a_zarr_is_a_gitlink_of_its_state_with_its_record_and_its_place(zarr: Zarr, mirror: MirrorOfTest) -> None:
    report = mirror.sync()
    assert (report.exit_code, report.findings, report.files, report.added) == (0, [], FILES + 1, FILES + 1)
    assert gitlinks(mirror) == {PATH: commit_of(zarr)}
    assert modules(mirror) == {PATH: (zarr.zarr_id, zarr.checksum)}
    assert manifests(mirror, zarr) == [zarr.checksum]
    (record,) = [record for record in mirror.records() if record["path"] == PATH]
    assert record["metadata"]["digest"] == {"dandi:dandi-zarr-checksum": zarr.checksum}
    assert report.size == sum(record["size"] for record in mirror.records())
    annexed = mirror.keys()
    assert PATH not in annexed
    assert mirror.git("status", "--porcelain") == ""
    assert run("git", "-C", str(mirror.path / "000123"), "fsck", "--strict").stdout == ""


@pytest.mark.quick
def test_a_second_run_asks_for_the_dandiset_and_its_zarrs_and_starts_nothing(
    zarr: Zarr, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    mirror.cli("sync", "000123")
    before = mirror.refs()
    asked(mirror.server)
    shims = tmp_path / "shims"
    shims.mkdir()
    for name in ("git", "git-annex", "datalad"):
        (shims / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/started\nexit 1\n")
        (shims / name).chmod(0o755)
    for arguments in (["000123"], ["--all"], []):
        done = mirror.cli("sync", *arguments, env={"PATH": str(shims)})
        assert (done.stdout, done.stderr) == ("", "")
        assert asked(mirror.server) == [
            "info/",
            "dandisets/000123/" if "000123" in arguments else "dandisets/",
            "zarr/",
        ]
    assert not (tmp_path / "started").exists()
    assert mirror.refs() == before


def test_without_zarrs_nobody_asks_for_them(dandiset: Dandiset, mirror: MirrorOfTest) -> None:
    for _ in range(2):
        mirror.cli("sync", "--all")
        assert "zarr/" not in asked(mirror.server)
    dandiset.delete_asset("sub-0/sub-0_ses-1_ecephys.nwb")
    mirror.cli("sync")
    assert "zarr/" not in asked(mirror.server)
    assert ".gitmodules" not in mirror.tree()
    assert not (mirror.path / "zarr").exists()


def test_the_superdataset_ignores_the_manifests(zarr: Zarr, mirror: MirrorOfTest) -> None:
    mirror.cli("sync", "000123")
    assert mirror.git("status", "--porcelain", dandiset=".") == ""
    assert (mirror.path / "zarr").is_dir()


def test_datalad_clones_the_dataset_and_knows_its_subdatasets(zarr: Zarr, mirror: MirrorOfTest, tmp_path: Path) -> None:
    mirror.sync()
    run("datalad", "clone", str(mirror.path / "000123"), "clone", cwd=tmp_path)
    clone = tmp_path / "clone"
    assert run("git", "status", "--porcelain", cwd=clone).stdout == ""
    assert list((clone / PATH).iterdir()) == []
    said = run("datalad", "-f", "json", "subdatasets", cwd=clone).stdout
    (found,) = [json.loads(line) for line in said.splitlines()]
    assert (Path(found["path"]), found["state"], found["gitshasum"]) == (clone / PATH, "absent", commit_of(zarr))
    assert found["gitmodule_url"] == f"../zarr/{zarr.zarr_id[:3]}/{zarr.zarr_id[3:6]}/{zarr.zarr_id}.git"
