"""``get``: content by path, glob, metadata and budget; exactly what git-annex's own ``get`` leaves."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from dandi_mirror.embedded import Archive
from tests.conftest import MirrorOfTest, run

SIZE = 1000


def subject(identifier: str, species: str, sex: str) -> dict[str, Any]:
    return {
        "encodingFormat": "application/x-nwb",
        "wasAttributedTo": [{
            "schemaKey": "Participant", "identifier": identifier,
            "species": {"schemaKey": "SpeciesType", "name": species}, "sex": {"schemaKey": "SexType", "name": sex},
        }],
    }  # fmt: skip


@pytest.fixture
def synced(archive: Archive, mirror: MirrorOfTest) -> MirrorOfTest:
    """Five recordings of a kilobyte, two of them of the same bytes; a version of three of them; a text file."""
    dandiset = archive.create_dandiset("000123", name="A test")
    human, mouse = "Homo sapiens - Human", "Mus musculus - House mouse"
    for name, facts in {
        "sub-a/sub-a_ses-1.nwb": subject("a", human, "Female"),
        "sub-a/sub-a_ses-2.nwb": subject("a", human, "Female"),
        "sub-b/sub-b.nwb": subject("b", human, "Male"),
    }.items():
        dandiset.add_asset(name, archive.add_blob(name.encode() * SIZE), facts)
    dandiset.publish()
    dandiset.add_asset("sub-c/sub-c_ses-1.nwb", archive.add_blob(b"c" * SIZE), subject("c", mouse, "Female"))
    dandiset.add_asset("again/sub-c_ses-1.nwb", archive.add_blob(b"c" * SIZE), subject("c", mouse, "Female"))
    dandiset.add_asset("README.md", archive.add_blob(b"Read me\n"))
    assert mirror.sync().exit_code == 0
    mirror.server.requests.clear()
    return mirror


def clone_of(mirror: MirrorOfTest, path: Path, *, offline: bool = True) -> Path:
    """A clone of the mirror's dataset; ``offline`` from the mirror's own content."""
    run("git", "clone", "-q", str(mirror.path / "000123"), str(path))
    run("git", "annex", "init", "-q", "clone", cwd=path)
    return path


def get(folder: Path, *arguments: str, code: int = 0, env: dict[str, str] | None = None) -> list[dict[str, Any]]:
    done = run("dandi-mirror", "get", *arguments, "-f", "json", cwd=folder, code=code, env=env)
    return [json.loads(line) for line in done.stdout.splitlines()]


def came(records: list[dict[str, Any]], top: Path) -> list[str]:
    done = [record for record in records if record.get("action") == "get" and record["status"] == "ok"]
    return sorted(os.path.relpath(record["path"], top) for record in done)


def here(folder: Path) -> list[str]:
    return run("git", "annex", "find", "--in=here", cwd=folder).stdout.splitlines()


def asked(mirror: MirrorOfTest) -> list[str]:
    """Paths of the requests for content."""
    return [
        request.path for request in mirror.server.requests if "/blobs/" in request.path or "/assets/" in request.path
    ]


def test_a_folder_comes_once_and_a_second_run_asks_for_nothing(synced: MirrorOfTest, tmp_path: Path) -> None:
    clone = clone_of(synced, tmp_path / "clone")
    records = get(clone, "sub-a")
    assert came(records, clone) == ["sub-a/sub-a_ses-1.nwb", "sub-a/sub-a_ses-2.nwb"]
    assert records[-1] == {"action": "summary", "status": "ok", "ok": 2, "bytes": 42 * SIZE, "exit_code": 0}
    assert here(clone) == ["sub-a/sub-a_ses-1.nwb", "sub-a/sub-a_ses-2.nwb"]
    assert len(asked(synced)) == 2
    again = run("dandi-mirror", "get", "sub-a", cwd=clone)
    assert (again.stdout, again.stderr) == ("", "")
    assert len(asked(synced)) == 2


def state(clone: Path) -> dict[str, object]:
    """All that git-annex and DataLad say of a clone, and its objects with their modes, without its UUID."""
    uuid = run("git", "config", "annex.uuid", cwd=clone).stdout.strip()
    objects = clone / ".git" / "annex" / "objects"
    tree = {
        str(path.relative_to(objects)): (path.stat().st_mode, path.is_dir() or path.read_bytes())
        for path in sorted(objects.rglob("*"))
    }
    said = {
        " ".join(command): run(*command, cwd=clone).stdout.replace(uuid, "UUID").replace(str(clone), "CLONE")
        for command in (
            ("git", "annex", "whereis", "--json"),
            ("git", "annex", "info", "--json"),
            ("git", "annex", "find"),
            ("git", "annex", "unused", "--json"),
            ("git", "annex", "fsck"),
            ("git", "status", "--porcelain"),
            ("datalad", "status", "--annex", "all"),
        )
    }
    info = json.loads(said.pop("git annex info --json"))
    del info["available local disk space"]  # the machine's
    by_name = {"semitrusted repositories": sorted(info["semitrusted repositories"], key=lambda one: one["description"])}
    return {"objects": tree, "info": info | by_name, **said}


def test_the_clone_is_as_after_git_annex_get(synced: MirrorOfTest, tmp_path: Path) -> None:
    """In clones of the same name, for git-annex notes that too."""
    found = []
    for fetch in (("dandi-mirror", "get", "."), ("git", "annex", "get", ".")):
        clone = clone_of(synced, tmp_path / "clone")
        run("git", "annex", "unlock", "sub-b/sub-b.nwb", cwd=clone)
        run("git", "commit", "-qam", "unlocked", cwd=clone)
        run(*fetch, cwd=clone)
        assert (clone / "sub-b" / "sub-b.nwb").read_bytes() == b"sub-b/sub-b.nwb" * SIZE
        found.append(state(clone))
        run("chmod", "-R", "u+w", str(clone))
        shutil.rmtree(clone)
    assert found[0].keys() == found[1].keys()
    for name, ours in found[0].items():
        assert ours == found[1][name], name
