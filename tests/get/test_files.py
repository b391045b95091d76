"""get: which files come, and what is said of those that do not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.conftest import MirrorOfTest, run
from tests.support.get_clones import SIZE, asked, came, clone_of, here
from tests.support.getting import get


def test_a_folder_comes_once_and_a_second_run_asks_for_nothing(synced: MirrorOfTest, tmp_path: Path) -> None:
    clone = clone_of(synced, tmp_path / "clone")
    records = get(clone, "sub-a")
    assert came(records, clone) == ["sub-a/sub-a_ses-1.nwb", "sub-a/sub-a_ses-2.nwb"]
    assert records[-1] == {"action": "summary", "status": "ok", "ok": 2, "bytes": 42 * SIZE, "exit_code": 0}
    assert here(clone) == ["sub-a/sub-a_ses-1.nwb", "sub-a/sub-a_ses-2.nwb"]
    assert len(asked(synced)) == 2
    again = run("dandi-mirror", "get", "sub-a", cwd=clone)
    assert (again.stdout, again.stderr) == ("nothing to get: 2 files are there already\n", "")
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
            ("git", "annex", "unused"),
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
    assert done.stdout == "nothing to get: 3 files are there already\n"
    assert done.stderr == "2 more files are beyond --max-size\n"


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
