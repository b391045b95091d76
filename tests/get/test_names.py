"""get: what its names mean."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import MirrorOfTest, run
from tests.support.get_clones import SIZE, asked, came, clone_of, here
from tests.support.getting import get


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


def test_a_dandiset_that_the_cloned_mirror_does_not_have_any_more_is_named(
    synced: MirrorOfTest, tmp_path: Path
) -> None:
    run("git", "clone", "-q", str(synced.path), str(tmp_path / "clone"))
    (synced.path / "000123").rename(tmp_path / "away")
    told = run(
        "dandi-mirror", "get", "000123/sub-b", "-i", synced.server.api_url, cwd=tmp_path / "clone", code=3
    ).stderr
    assert told == (
        f"dandi-mirror: 000123 could not be installed in {tmp_path}/clone, from where that was cloned "
        f"(repository '{synced.path}/000123' does not exist); name a mirror that has it: -d DIR\n"
    )


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
        "SUB-C": "sub-c",
        "sub-A/SUB-a_ses-2.nwb": "sub-a/sub-a_ses-2.nwb",
        "SUB-A/else": "sub-a",
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
