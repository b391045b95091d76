"""The Python interface and the commands say the same: the same files, the same words where something is wrong."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

import dandi_mirror as dm
from dandi_mirror.archive.instances import token_variable
from dandi_mirror.embedded import Archive, Zarr
from tests.conftest import MirrorOfTest, run
from tests.support.dandisets import seed
from tests.support.zarrs import a_zarr, change

V1, V2 = "0.240101.0000", "0.240202.0000"
FILE = "sub-1/sub-1_ses-1_ecephys.nwb"
ZARR = "sub-2/img.zarr"
FIELDS = ["path", "size", "dandiset", "version", "asset_id", "sha256", "key", "session", "here", "state"]


@pytest.fixture
def zarr(archive: Archive, mirror: MirrorOfTest) -> Zarr:
    """A Zarr in the second of two versions and, changed, in the draft; the mirror has all of it."""
    dandiset = seed(archive)
    dandiset.publish(V1)
    made = a_zarr(dandiset, ZARR)
    dandiset.publish(V2)
    mirror.sync()
    change(made, {"arr/0/2": b"new"})
    dandiset.delete_asset(FILE)
    mirror.sync()
    mirror.server.requests.clear()
    return made


def facts(record: dict[str, Any]) -> dict[str, object]:
    return {"path": record["file"], **{name: record.get(name, "") for name in FIELDS[1:]}}


def listed(mirror: Path, name: str, *more: str) -> list[dict[str, object]]:
    """The files that ``ls`` lists, without folders."""
    said = run("dandi-mirror", "ls", name, *more, "-f", "json", "-d", str(mirror)).stdout.splitlines()
    return [facts(record) for record in map(json.loads, said) if record.get("type") == "file"]


def given(dandiset: dm.Dandiset, path: str, version: str | None) -> list[dict[str, object]]:
    return [{name: asdict(asset)[name] for name in FIELDS} for asset in dandiset.assets(path, version)]


def named(path: str, version: str | None) -> str:
    return "000123" + (f"@{version}" if version else "") + (f"/{path}" if path else "")


@pytest.fixture(params=["a mirror", "a clone"])
def place(request: pytest.FixtureRequest, zarr: Zarr, mirror: MirrorOfTest, tmp_path: Path) -> tuple[dm.Dandiset, Path]:
    """The Dandiset in Python, and what -d names for the command."""
    if request.param == "a mirror":
        return dm.Mirror(mirror.path)["000123"], mirror.path
    run("datalad", "clone", str(mirror.path / "000123"), "work", cwd=tmp_path)
    return dm.Clone(tmp_path / "work"), tmp_path / "work"


def test_the_same_files_are_listed(place: tuple[dm.Dandiset, Path], mirror: MirrorOfTest) -> None:
    dandiset, top = place
    said = run("dandi-mirror", "ls", f"000123@{V2}/{ZARR}", "-f", "json", "-d", str(top)).stdout
    old = f"{ZARR}@{json.loads(said.splitlines()[0])['checksum']}"
    asked: list[tuple[str, str | None, bool]] = [
        ("sub-0", None, False), ("sub-2", None, False), (FILE, None, False), ("sub-2", "draft", False),
        (ZARR, "draft", False), (old, "draft", False), (f"{ZARR}/.zgroup", None, False), ("", V1, True),
        (f"{ZARR}/arr", "draft", True), (f"{ZARR}/", V2, True), (f"{old}/arr", "draft", True),
    ]  # fmt: skip
    for path, version, recursive in asked:
        of_command = listed(top, named(path, version), *["-r"] * recursive)
        assert of_command and given(dandiset, path, version) == of_command, (path, version)
    sizes = [dandiset.asset(one, "draft").size for one in (ZARR, old)]
    assert sizes[0] == (sizes[1] or 0) + 3, "the state that is named, not that of the draft"
    assert mirror.server.requests == [], "neither asked anybody"


@pytest.mark.parametrize(
    ("path", "version"),
    [
        ("nothing", None), ("sub-1/nothing.nwb", "draft"), (f"{ZARR}/nothing", None), (FILE, "draft"), ("../x", None),
        ("sub-0/../x", V1), ("", "nonsense"), (f"{FILE}@{'0' * 32}-1--1", None),
    ],
)  # fmt: skip
def test_what_is_not_there_is_reported_in_the_same_words(
    place: tuple[dm.Dandiset, Path], mirror: MirrorOfTest, path: str, version: str | None
) -> None:
    dandiset, top = place
    said = run("dandi-mirror", "ls", named(path, version), "-d", str(top), code=None)
    with pytest.raises(dm.MirrorError) as raised:
        dandiset.assets(path, version)
    assert (said.stderr.strip(), said.returncode) == (f"dandi-mirror: {raised.value}", raised.value.exit_code)
    assert mirror.server.requests == []


def test_of_a_version_that_is_nowhere_both_say_which_there_are(
    place: tuple[dm.Dandiset, Path], mirror: MirrorOfTest
) -> None:
    dandiset, top = place
    said = run("dandi-mirror", "ls", "000123@0.990101.0000", "-d", str(top), code=3).stderr
    with pytest.raises(dm.MirrorError) as raised:
        dandiset.assets(version="0.990101.0000")
    assert f"did you mean 000123@{V1} or 000123@{V2}?" in said and raised.value.exit_code == 3
    # the command has asked the archive, too
    assert said.strip() == f"dandi-mirror: {raised.value}".replace(str(dandiset.path), mirror.server.api_url)


def test_an_entry_of_a_zarr_is_opened_and_a_zarr_that_came_is_here(
    zarr: Zarr, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    with dm.Mirror(mirror.path)["000123"].open(f"{ZARR}/.zgroup") as file:
        assert file.read() == zarr.files[".zgroup"]
    run("datalad", "clone", str(mirror.path / "000123"), "work", cwd=tmp_path)
    clone = dm.Clone(tmp_path / "work")
    clone.get(ZARR)
    assert clone.asset(ZARR, "draft").here
    assert given(clone, ZARR, "draft") == listed(clone.path, f"000123@draft/{ZARR}")
    mirror.server.requests.clear()
    with clone.open(f"{ZARR}/arr/0/2", "draft") as file:
        assert file.read() == b"new"
    assert mirror.server.requests == []


# --- sync -----------------------------------------------------------------------------------------------------


def logs(mirror: Path) -> list[dict[str, Any]]:
    """The records of the last run's log."""
    newest = sorted((mirror / ".dandi-mirror" / "log").glob("*.jsonl"))[-1]
    varying = {"time", "ended", "seconds", "began", "path", "refds", "received", "run", "pid"}
    return [
        {key: value for key, value in json.loads(line.replace(str(mirror), "MIRROR")).items() if key not in varying}
        for line in newest.read_text().splitlines()
    ]


def test_a_sync_writes_the_same_and_ends_the_same(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> None:
    seed(archive).publish(V1)
    archive.create_dandiset("000124")
    api, other = mirror.server.api_url, tmp_path / "python"
    run("dandi-mirror", "sync", "000123", "000124", "000999", "-d", str(mirror.path), "-i", api, code=3)
    reports = dm.Mirror(other).sync("000123", "000124", "000999", instance=api)
    assert [report.exit_code for report in reports if report.dandiset == "000999"] == [3]
    assert logs(other) == logs(mirror.path), "also the exit code of the run"
    for dandiset in ("000123", "000124"):
        heads = [run("git", "rev-parse", "draft", cwd=top / dandiset).stdout for top in (mirror.path, other)]
        assert heads[0] == heads[1]


@pytest.mark.parametrize(
    "typed", [["nonsense"], ["000123@draft"], ["000123/sub-1"], [], ["dandi://linc/000123"]], ids=str
)  # fmt: skip
def test_a_sync_that_makes_no_sense_is_refused_in_the_same_words(
    archive: Archive, mirror: MirrorOfTest, typed: list[str]
) -> None:
    said = run("dandi-mirror", "sync", *typed, "-d", str(mirror.path), "-i", mirror.server.api_url, code=None)
    with pytest.raises(dm.MirrorError) as raised:
        dm.Mirror(mirror.path).sync(*typed, instance=mirror.server.api_url)
    assert (said.stderr.strip(), said.returncode) == (f"dandi-mirror: {raised.value}", raised.value.exit_code)


def test_the_settings_of_a_folder_that_somebody_names_count_for_both(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    seed(archive).publish(V1)
    for name in ("command", "python"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "dandi-mirror.toml").write_text(
            f'instance = "{mirror.server.api_url}"\nversions = "published"\n'
        )
    run("dandi-mirror", "sync", "000123", "-d", str(tmp_path / "command"))
    dm.Mirror(tmp_path / "python").sync("000123")
    for name in ("command", "python"):
        branches = run("git", "branch", "--format=%(refname:short)", cwd=tmp_path / name / "000123").stdout.split()
        assert "published" in branches and "draft" not in branches
    assert capfd.readouterr() == ("", "")


def test_without_the_key_that_the_settings_need_nothing_is_synced(
    archive: Archive, mirror: MirrorOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed(archive)
    mirror.sync()
    mirror.server.requests.clear()
    monkeypatch.delenv(token_variable(mirror.server.api_url), raising=False)
    (mirror.path / "dandi-mirror.toml").write_text("embargoed = true\n")
    said = run("dandi-mirror", "sync", "-d", str(mirror.path), code=4).stderr
    with pytest.raises(dm.MirrorError) as raised:
        dm.Mirror(mirror.path).sync()
    assert said.strip() == f"dandi-mirror: {raised.value}" and raised.value.exit_code == 4
    assert mirror.server.requests == []


def test_what_a_command_would_print_beside_its_results_is_a_warning(
    zarr: Zarr, mirror: MirrorOfTest, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run("datalad", "clone", str(mirror.path / "000123"), "work", cwd=tmp_path)
    settings = tmp_path / "work" / "dandi-mirror.toml"
    settings.write_text("jobs = 2\n")
    with pytest.warns(UserWarning, match="dandi-mirror.toml is not read"):
        dm.Clone(tmp_path / "work").get("sub-0")
    assert capfd.readouterr() == ("", "")
