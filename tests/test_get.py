"""``get``: content by path, glob, metadata and budget; exactly what git-annex's own ``get`` leaves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from starlette.responses import Response

from dandi_mirror.embedded import Archive, Request
from dandi_mirror.repo.annex import objects
from dandi_mirror.repo.annex.clone import Clone
from tests.conftest import MirrorOfTest, run
from tests.support.waiting import LONG, SOON

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


def test_what_came_before_the_disk_failed_is_reported(synced: MirrorOfTest, tmp_path: Path) -> None:
    clone = clone_of(synced, tmp_path / "clone")
    key = run("git", "annex", "lookupkey", "sub-b/sub-b.nwb", cwd=clone).stdout.strip()
    # a folder where a part of the file would be kept: it cannot be written
    (clone / ".git/annex/dandi-mirror" / key / "folder").mkdir(parents=True)
    records = get(clone, "sub-a", "sub-b", "-J", "1", code=6)
    assert came(records, clone) == ["sub-a/sub-a_ses-1.nwb", "sub-a/sub-a_ses-2.nwb"] == here(clone)


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


def test_metadata_chooses(synced: MirrorOfTest, tmp_path: Path) -> None:
    clone = clone_of(synced, tmp_path / "clone")

    def chosen(*where: str) -> list[str]:
        return came(get(clone, ".", "-n", *(word for text in where for word in ("--where", text))), clone)

    assert chosen("species:human sex:female session:*") == ["sub-a/sub-a_ses-1.nwb", "sub-a/sub-a_ses-2.nwb"]
    assert chosen("sex:male") == ["sub-b/sub-b.nwb"], "a word, not a part of one"
    assert chosen("species:'house mouse'", "subject:c subject:b") == ["again/sub-c_ses-1.nwb", "sub-c/sub-c_ses-1.nwb"]
    assert chosen("session:2*") == ["sub-a/sub-a_ses-2.nwb"]
    assert asked(synced) == []
    wrong = run("dandi-mirror", "get", ".", "--where", "colour:red", cwd=clone, code=2)
    assert "colour" in wrong.stderr and "species" in wrong.stderr


def test_conditions_that_no_file_meets_are_named_with_the_values_there_are(
    synced: MirrorOfTest, tmp_path: Path
) -> None:
    clone = clone_of(synced, tmp_path / "clone")
    said = run("dandi-mirror", "get", "sub-a", "--where", "sex:mal species:human", cwd=clone, code=3)
    assert said.stderr == (
        ".: no file fits --where sex:mal (the values are: Female), "
        "species:human (the values are: Homo sapiens - Human)\n"
    )
    (record, _) = get(clone, "sub-a", "--where", "sex:mal", code=3)
    assert (record["status"], record["path"]) == ("impossible", str(clone))
    assert asked(synced) == []


def test_a_dry_run_names_what_would_come(synced: MirrorOfTest, tmp_path: Path) -> None:
    clone = clone_of(synced, tmp_path / "clone")
    done = run("dandi-mirror", "get", "sub-b", "-n", cwd=clone)
    assert done.stdout == "   15.0 kB  sub-b/sub-b.nwb\nwould get 1 file, 15.0 kB\n"
    assert (asked(synced), here(clone)) == ([], [])


def test_the_newest_come_within_the_budget(synced: MirrorOfTest, tmp_path: Path) -> None:
    clone = clone_of(synced, tmp_path / "clone")
    records = get(clone, "*.nwb", "--newest", "--max-size", "17k")
    assert came(records, clone) == ["again/sub-c_ses-1.nwb", "sub-b/sub-b.nwb", "sub-c/sub-c_ses-1.nwb"]
    assert len(asked(synced)) == 2, "two files of one content are fetched once"
    done = run("dandi-mirror", "get", ".", "--max-size", "1k", cwd=clone)
    assert (done.stdout, done.stderr) == ("", "2 more are beyond --max-size\n")


def test_what_is_no_file_is_named_and_the_others_come(synced: MirrorOfTest, tmp_path: Path) -> None:
    clone = clone_of(synced, tmp_path / "clone")
    records = get(clone, "sub-x", "sub-b", code=3)
    assert [(record["status"], record.get("message", "")[:21]) for record in records[:1]] == [
        ("impossible", "there is no such file")
    ]
    assert came(records, clone) == ["sub-b/sub-b.nwb"]
    assert get(clone, "README.md")[:-1] == [], "text is in git"


def test_in_a_mirror_and_of_a_version(synced: MirrorOfTest) -> None:
    [version] = synced.server.archive.dandisets["000123"].published
    records = get(synced.path, f"DANDI:000123/{version.version}", "-i", synced.server.api_url)
    assert len(came(records, synced.path)) == 3
    assert here(synced.path / "000123") == ["sub-a/sub-a_ses-1.nwb", "sub-a/sub-a_ses-2.nwb", "sub-b/sub-b.nwb"]
    assert synced.git("status", "--porcelain") == ""
    assert synced.sync().status == "notneeded"


def test_a_bare_id_is_cloned_from_the_mirror_and_its_content_copied(synced: MirrorOfTest, tmp_path: Path) -> None:
    [version] = synced.server.archive.dandisets["000123"].published
    run("git", "annex", "get", "--quiet", "sub-b", cwd=synced.path / "000123")
    synced.server.requests.clear()
    (tmp_path / "work").mkdir()
    where = ("-d", str(synced.path), "-i", synced.server.api_url)
    done = run("dandi-mirror", "get", f"000123@{version.version}", "sub-b", *where, cwd=tmp_path / "work")
    clone = tmp_path / "work" / "000123"
    assert done.stderr == f"000123 cloned from {synced.path / '000123'} into {clone}\n"
    assert done.stdout == "got 1 file, 15.0 kB\n"
    assert synced.server.requests == [], "the mirror has it"
    assert run("git", "describe", "--tags", cwd=clone).stdout.strip() == version.version
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["000123"]
    got = get(tmp_path / "work", "000123@draft", "sub-c", *where)
    assert came(got, clone) == ["sub-c/sub-c_ses-1.nwb"], "what is not checked out comes too"


def test_a_bare_id_means_the_same_once_its_folder_is_there(synced: MirrorOfTest, tmp_path: Path) -> None:
    for folder, name in (("sub-a", "sub-a"), ("sub-b", "sub-b/sub-b.nwb")):
        records = get(tmp_path, "000123", folder, "-d", str(synced.path))
        assert {record["file"].startswith(name) for record in records[:-1]} == {True}
    top = synced.path / "000123"
    assert came(get(synced.path, "000123", "sub-b"), top) == ["sub-b/sub-b.nwb"], "and in the mirror"
    assert here(tmp_path / "000123") == ["sub-a/sub-a_ses-1.nwb", "sub-a/sub-a_ses-2.nwb", "sub-b/sub-b.nwb"]


def test_without_a_mirror_it_is_said_whose_is_used(synced: MirrorOfTest, home: Path, tmp_path: Path) -> None:
    (home / "bare").mkdir()
    run("git", "clone", "-q", "--bare", str(synced.path / "000123"), str(home / "bare" / "000123"))
    with (home / ".gitconfig").open("a") as config:
        config.write(f'[url "{home}/bare/"]\n\tinsteadOf = https://github.com/dandisets/\n')
    done = run("dandi-mirror", "get", "000123", "sub-b", cwd=tmp_path)
    assert "000123 cloned from https://github.com/dandisets/000123 into" in done.stderr
    assert here(tmp_path / "000123") == ["sub-b/sub-b.nwb"]
    nowhere = run("dandi-mirror", "get", "000124", "-i", "dandi-sandbox", cwd=tmp_path, code=2)
    assert "dandi-mirror sync 000124" in nowhere.stderr


def test_wrong_bytes_never_become_present(synced: MirrorOfTest, tmp_path: Path) -> None:
    clone = clone_of(synced, tmp_path / "clone")
    synced.server.intercept = lambda asked: Response(bytes(15 * SIZE)) if "/blobs/" in asked.path else None
    records = get(clone, "sub-b", code=3)
    assert "the downloaded bytes do not match its SHA-256" in records[0]["message"]
    assert here(clone) == []
    assert not list((clone / ".git" / "annex" / "objects").rglob("SHA256E*"))
    synced.server.intercept = None
    assert get(clone, "sub-b")[-1]["ok"] == 1


def test_stock_tools_work_before_and_after(synced: MirrorOfTest, tmp_path: Path) -> None:
    clone = clone_of(synced, tmp_path / "clone")
    run("datalad", "get", "sub-b", cwd=clone)
    get(clone, ".")
    run("git", "annex", "drop", "sub-a", cwd=clone)
    assert here(clone) == ["again/sub-c_ses-1.nwb", "sub-b/sub-b.nwb", "sub-c/sub-c_ses-1.nwb"]
    run("git", "annex", "drop", "--quiet", "sub-b", "--numcopies=5", cwd=clone, code=1)
    assert len(get(clone, ".")) == 6


def test_an_object_that_no_log_names_is_recorded_by_the_next_run(synced: MirrorOfTest, tmp_path: Path) -> None:
    """As after a kill between placing and recording."""
    clone = clone_of(synced, tmp_path / "clone")
    get(clone, "sub-b")
    uuid = run("git", "config", "annex.uuid", cwd=clone).stdout.strip()
    key = run("git", "annex", "lookupkey", "sub-b/sub-b.nwb", cwd=clone).stdout.strip()
    run("git", "annex", "setpresentkey", key, uuid, "0", cwd=clone)
    assert get(clone, "sub-b")[-1]["notneeded"] == 1
    assert uuid in run("git", "annex", "whereis", "sub-b", cwd=clone).stdout


def test_what_git_annex_has_noted_and_not_committed_is_kept(synced: MirrorOfTest, tmp_path: Path) -> None:
    clone = clone_of(synced, tmp_path / "clone")
    key = run("git", "annex", "lookupkey", "sub-b/sub-b.nwb", cwd=clone).stdout.strip()
    other = "11111111-2222-3333-4444-555555555555"
    run("git", "-c", "annex.alwayscommit=false", "annex", "setpresentkey", key, other, "1", cwd=clone)
    assert list((clone / ".git" / "annex" / "journal").iterdir())
    found = Clone(clone)
    found.read_config()
    objects.record(found, [key])
    said = run("git", "annex", "whereis", "sub-b", cwd=clone).stdout
    assert other in said and "[here]" in said


def test_a_full_disk_is_seen_before_anything_is_fetched(synced: MirrorOfTest, tmp_path: Path) -> None:
    clone = clone_of(synced, tmp_path / "clone")
    target = "../.git/annex/objects/aa/bb/{0}/{0}".format(f"SHA256E-s{10**14}--{'0' * 64}.nwb")
    (clone / "sub-a" / "huge.nwb").symlink_to(target)
    run("git", "add", "sub-a", cwd=clone)
    done = run("dandi-mirror", "get", ".", cwd=clone, code=6)
    assert "are free; free some space" in done.stderr
    assert asked(synced) == []


def test_an_interruption_keeps_what_is_complete(synced: MirrorOfTest, tmp_path: Path) -> None:
    clone, hangs = clone_of(synced, tmp_path / "clone"), Event()

    def hang(request: Request) -> Response | None:
        if "/blobs/" not in request.path or len(asked(synced)) < 3:
            return None
        hangs.set()
        released.wait(LONG)
        return None

    released = Event()
    synced.server.intercept = hang
    command = [sys.executable, "-m", "dandi_mirror", "get", ".", "-J", "1"]
    child = subprocess.Popen(command, cwd=clone, stderr=subprocess.PIPE, text=True)
    assert hangs.wait(LONG)
    began = time.monotonic()
    child.send_signal(signal.SIGINT)
    assert "what was complete is kept" in child.communicate()[1]
    released.set()
    assert (child.returncode, time.monotonic() - began < SOON) == (130, True)
    assert len(here(clone)) == 3, "two of them are the same"
    synced.server.intercept = None
    synced.server.requests.clear()
    get(clone, ".")
    assert len(asked(synced)) == 2


def test_at_the_top_of_a_mirror_all_of_its_datasets_are_meant(synced: MirrorOfTest) -> None:
    listed = run("dandi-mirror", "ls", ".", cwd=synced.path)
    assert listed.stdout == "000123    1 version           6 files  A test\n"
    records = get(synced.path, ".", "-i", synced.server.api_url)
    assert records[-1]["ok"] == 5
    assert len(here(synced.path / "000123")) == 5


def test_a_dataset_of_a_cloned_mirror_is_installed_when_it_is_asked_for(synced: MirrorOfTest, tmp_path: Path) -> None:
    run("git", "clone", "-q", str(synced.path), str(tmp_path / "clone"))
    assert "000123  not installed" in run("dandi-mirror", "ls", ".", cwd=tmp_path / "clone").stdout
    nothing = run("dandi-mirror", "get", ".", cwd=tmp_path / "clone", code=2)
    assert "none of the Dandisets of" in nothing.stderr
    before = run("dandi-mirror", "get", "-n", "000123/sub-b", "-i", synced.server.api_url, cwd=tmp_path / "clone")
    assert "would be" in before.stderr
    assert before.stdout.splitlines()[-1] == "would get 1 file, 15.0 kB"
    assert list((tmp_path / "clone" / "000123").iterdir()) == []
    records = get(tmp_path / "clone", "000123/sub-b", "-i", synced.server.api_url)
    assert came(records, tmp_path / "clone") == ["000123/sub-b/sub-b.nwb"]
    assert run("git", "status", "--porcelain", cwd=tmp_path / "clone").stdout == ""
    assert run("datalad", "status", "-r", cwd=tmp_path / "clone").stdout == "nothing to save, working tree clean\n"


def test_a_dry_run_of_what_is_not_cloned_says_what_would_come(synced: MirrorOfTest, tmp_path: Path) -> None:
    [version] = synced.server.archive.dandisets["000123"].published
    (tmp_path / "work").mkdir()
    name = f"000123@{version.version}"
    done = run("dandi-mirror", "get", "-n", name, "sub-a", "-d", str(synced.path), cwd=tmp_path / "work")
    assert [line.split()[-1] for line in done.stdout.splitlines()[:2]] == [
        "sub-a/sub-a_ses-1.nwb",
        "sub-a/sub-a_ses-2.nwb",
    ]
    assert done.stdout.splitlines()[2] == "would get 2 files, 42.0 kB"
    assert synced.server.requests == [], "the mirror knows"
    chosen = get(
        tmp_path / "work", "-n", "000123", "-d", str(synced.path), "--where", "species:mouse", "--max-size", "1k"
    )
    assert [record["file"] for record in chosen[:-1]] == ["again/sub-c_ses-1.nwb", "sub-c/sub-c_ses-1.nwb"]
    assert list((tmp_path / "work").iterdir()) == [], "nothing is cloned"


def test_a_path_that_is_none_gets_the_nearest_that_is(synced: MirrorOfTest, tmp_path: Path) -> None:
    clone = clone_of(synced, tmp_path / "clone")
    for typed, meant in {
        "sub-a/sub-a_ses-3.nwb": "sub-a/sub-a_ses-2.nwb",
        "sub-b.nwb": "sub-b/sub-b.nwb",
        "subc": "sub-c",
    }.items():
        assert f"did you mean {meant}?" in get(clone, typed, code=3)[0]["message"]
        said = run("dandi-mirror", "ls", typed, cwd=clone, code=2).stderr
        assert f"did you mean {meant}?" in said
    assert "did you mean" not in get(clone, "entirely/else", code=3)[0]["message"]


def test_an_asset_or_a_blob_is_the_file_that_has_it(synced: MirrorOfTest, tmp_path: Path) -> None:
    [record] = [record for record in synced.records() if record["path"] == "sub-b/sub-b.nwb"]
    key = synced.keys()["sub-b/sub-b.nwb"]
    blob = next(url for url in synced.urls(key) if "/blobs/" in url)
    asset = f"{synced.server.api_url}/assets/{record['asset_id']}/download/"
    of_version = f"{synced.server.api_url}/dandisets/000123/versions/draft/assets/{record['asset_id']}/"
    for number, name in enumerate((asset, of_version, blob)):
        clone = clone_of(synced, tmp_path / f"clone{number}")
        assert came(get(clone, name, "-i", synced.server.api_url), clone) == ["sub-b/sub-b.nwb"], "by the clone"
    assert asked(synced) and not [one for one in synced.server.requests if one.path.endswith("/info/")]
    assert came(get(synced.path, blob, "-i", synced.server.api_url), synced.path) == ["000123/sub-b/sub-b.nwb"]
    for command in (("ls",), ("download", "-o", str(tmp_path / "out"))):
        done = run("dandi-mirror", *command, blob, "-i", synced.server.api_url, cwd=synced.path)
        assert "1 file" in done.stdout
    assert (tmp_path / "out" / "sub-b.nwb").stat().st_size == 15 * SIZE
