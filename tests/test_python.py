"""The Python interface, as somebody in a notebook uses it: values, exceptions, and nothing printed."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

import dandi_mirror as dm
from dandi_mirror.archive.content import JOBS
from dandi_mirror.cli.main import Commands, cli
from dandi_mirror.embedded import Archive, Dandiset
from tests.conftest import MirrorOfTest, run
from tests.support.dandisets import participant, seed
from tests.support.pages import FENCE, page

V1, V2 = "0.240101.0000", "0.240202.0000"
FIRST = "sub-0/sub-0_ses-1_ecephys.nwb"


@pytest.fixture
def lab(archive: Archive, mirror: MirrorOfTest) -> dm.Mirror:
    """A mirror, made from Python, of a Dandiset with two versions and a draft."""
    dandiset = seed(archive)
    dandiset.publish(V1)
    dandiset.add_asset("README.md", archive.add_blob(b"# Read me\n"))
    dandiset.publish(V2)
    dandiset.delete_asset(FIRST)
    made = dm.Mirror(mirror.path)
    (report,) = made.sync("000123", instance=mirror.server.api_url)
    assert (report.status, report.exit_code) == ("ok", 0)
    mirror.server.requests.clear()
    return made


def test_a_mirror_gives_its_dandisets_versions_and_assets_and_asks_nobody(lab: dm.Mirror, mirror: MirrorOfTest) -> None:
    assert (len(lab), "000123" in lab, "000999" in lab) == (1, True, False)
    (dandiset,) = lab
    assert isinstance(dandiset, dm.Dandiset) and dandiset.versions == [V1, V2, "draft"]
    assert [asset.path for asset in dandiset.assets(version="draft")] == [
        "README.md", "sub-1/sub-1_ses-1_ecephys.nwb", "sub-2/sub-2_ses-1_ecephys.nwb",
    ]  # fmt: skip
    asset = lab["000123"].asset(FIRST, V1)
    assert isinstance(asset, dm.Asset)
    assert (asset.size, asset.subjects, asset.here, asset.version) == (9, ("m0",), False, V1)
    assert asset.key == mirror.keys(V1)[FIRST]
    assert len(dandiset.assets("sub-1")) == 1, "without a version, the newest published one"
    assert dandiset.record(V1)["name"] == "A test"
    assert mirror.server.requests == []


def test_assets_are_a_table_where_pandas_is_installed(lab: dm.Mirror) -> None:
    assets = lab["000123"].assets(version=V2)
    assert isinstance(assets, dm.Assets) and assets[:2] == dm.Assets(list(assets)[:2])
    frame = assets.frame()
    assert list(frame.columns)[:3] == ["path", "size", "dandiset"]
    assert frame["size"].sum() == assets.size == 9 * 3 + 10
    assert list(frame[frame.path == FIRST].subjects) == [("m0",)]


def test_what_is_not_here_is_an_exception_that_says_what_there_is(lab: dm.Mirror, tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="has no Dandiset 000999"):
        lab["000999"]
    with pytest.raises(dm.MirrorError, match=f"000123@0.990101.0000 is not in .*; did you mean 000123@{V1}"):
        lab["000123"].assets(version="0.990101.0000")
    with pytest.raises(dm.MirrorError, match="is no asset, but a folder with 1"):
        lab["000123"].asset("sub-1")
    with pytest.raises(dm.MirrorError, match=f"000123@0.990101.0000 is not in .*; did you mean 000123@{V1}"):
        lab["000123"].cite("0.990101.0000")
    with pytest.raises(dm.MirrorError, match="is in no clone of a Dandiset"):
        dm.Clone(tmp_path)
    with pytest.raises(dm.MirrorError, match="holds no Dandiset"):
        dm.Mirror(tmp_path / "new").search("x")


def test_versions_are_compared_and_cited_as_the_commands_do(lab: dm.Mirror) -> None:
    dandiset = lab["000123"]
    changes = dandiset.diff(V1, V2)
    assert [file.path for file in changes.added] == ["README.md"]
    assert [file.path for file in dandiset.diff().removed] == [FIRST]
    for form in ("text", "bibtex", "ris", "cff"):
        typed = ("cite", f"000123@{V2}", "-d", str(lab.path), "-f", form)
        assert run("dandi-mirror", *typed).stdout.rstrip("\n") == dandiset.cite(form=form).rstrip("\n")
    said = run("dandi-mirror", "cite", "000123@draft", "-d", str(lab.path)).stdout
    assert said.rstrip("\n") == dandiset.cite("draft").rstrip("\n") and "the draft of" in said


def test_search_finds_what_the_command_finds(lab: dm.Mirror) -> None:
    found = lab.search("subject:m1")
    assert [hit.path for hit in found.found[0].hits] == ["sub-1/sub-1_ses-1_ecephys.nwb"]
    with pytest.raises(dm.MirrorError):
        lab.search("nonsense_operator:x")


def test_content_is_got_and_opened_in_a_clone(lab: dm.Mirror, mirror: MirrorOfTest, tmp_path: Path) -> None:
    run("datalad", "clone", str(lab.path / "000123"), "work", cwd=tmp_path)
    clone = dm.Clone(tmp_path / "work")
    assert clone.identifier == "000123" and clone.versions[-1] == "draft"
    (got,) = clone.get("sub-1")
    assert isinstance(got, dm.Got)
    assert (got.status, got.path.read_bytes()) == ("ok", b"content 1")
    (again,) = clone.get("sub-1")
    assert again.status == "notneeded"
    with clone.open("sub-1/sub-1_ses-1_ecephys.nwb", "draft") as file:
        assert file.read() == b"content 1"
    mirror.server.requests.clear()
    with clone.open("README.md", "draft") as file:
        assert file.read() == b"# Read me\n"
    assert mirror.server.requests == [], "small text is in git"


def test_content_that_is_not_here_is_read_by_ranges_without_coming_here(lab: dm.Mirror, mirror: MirrorOfTest) -> None:
    with lab["000123"].open(FIRST, V1) as file:
        file.seek(2)
        assert file.read(3) == b"nte"
    assert not lab["000123"].asset(FIRST, V1).here


def test_files_that_do_not_come_are_raised_with_those_that_did(lab: dm.Mirror) -> None:
    with pytest.raises(dm.GetFailed, match="there is no such file") as failed:
        lab["000123"].get("sub-1", "nothing")
    assert {got.status for got in failed.value.got} == {"ok", "impossible"}


def test_a_clone_does_not_make_this_machine_ask_its_neighbours(
    lab: dm.Mirror, mirror: MirrorOfTest, archive: Archive, tmp_path: Path
) -> None:
    run("datalad", "clone", str(lab.path / "000123"), "work", cwd=tmp_path)
    clone = tmp_path / "work"
    key = mirror.keys("draft")["sub-1/sub-1_ses-1_ecephys.nwb"]
    run("git", "annex", "init", cwd=clone)
    for url in mirror.urls(key):
        run("git", "annex", "rmurl", "sub-1/sub-1_ses-1_ecephys.nwb", url, cwd=clone, code=None)
    run("git", "annex", "registerurl", key, "http://169.254.169.254/latest", cwd=clone)
    mirror.server.requests.clear()
    with pytest.raises(dm.MirrorError, match="nobody is known to have"):
        dm.Clone(clone).open("sub-1/sub-1_ses-1_ecephys.nwb", "draft")
    assert mirror.server.requests == []


def test_nothing_is_printed_and_an_import_costs_nothing(lab: dm.Mirror, capfd: pytest.CaptureFixture[str]) -> None:
    lab["000123"].get("sub-2")
    lab.sync()
    assert capfd.readouterr() == ("", "")
    lab["000123"].get("sub-1", progress=True)
    lab.sync(progress=True)
    assert capfd.readouterr().out == "", "a bar is on stderr"
    with pytest.raises(dm.MirrorError):
        lab.sync("nonsense")
    assert capfd.readouterr() == ("", "")
    late = "import sys, dandi_mirror as dm; print([m for m in sys.modules if m.startswith('dandi_mirror')], dir(dm))"
    said = subprocess.run([sys.executable, "-c", late], capture_output=True, text=True, check=True).stdout
    assert said.startswith("['dandi_mirror'] ['Asset', 'Assets', 'Clone', ")
    for name in dm.__all__:
        assert getattr(dm, name).__doc__


def test_types_are_there_for_the_programs_of_others() -> None:
    assert (Path(dm.__file__).parent / "py.typed").exists()


def test_what_the_page_shows_can_be_typed_as_it_stands(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dandiset = archive.create_dandiset("000004", name="A dataset of neurons")
    for number in (1, 2):
        path = f"sub-P10HMH/sub-P10HMH_ses-{number}.nwb"
        dandiset.add_asset(path, archive.add_blob(f"content {number}".encode()), metadata=participant("P10HMH"))
        dandiset.publish(f"0.220126.185{number}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DANDI_INSTANCE", mirror.server.api_url)
    names: dict[str, object] = {}
    typed = [code for language, code in FENCE.findall(page("docs/python.md")) if language == "python"]
    assert len(typed) == 6
    for block in typed:
        exec(block, names)
    assert (tmp_path / "dandi" / "000004" / "sub-P10HMH" / "sub-P10HMH_ses-2.nwb").read_bytes() == b"content 2"


def test_a_failed_sync_is_in_its_report(lab: dm.Mirror, archive: Archive) -> None:
    missing: Dandiset | None = archive.dandisets.get("000999")
    assert missing is None
    (report,) = lab.sync("000999")
    assert report.exit_code and "000999" in report.message


def test_as_many_connections_are_open_as_by_the_command() -> None:
    for method in (dm.Dandiset.get, dm.Dandiset.export):
        assert inspect.signature(method).parameters["jobs"].default == JOBS
    for name in ("get", "download", "hold", "restore", "export"):
        command = Commands().get_command(click.Context(cli), name)
        assert command and next(one.default for one in command.params if one.name == "jobs") == JOBS


def test_what_is_no_path_no_number_and_no_mirror_is_refused_in_words(lab: dm.Mirror, tmp_path: Path) -> None:
    dandiset = lab["000123"]
    assets = dandiset.assets()
    methods: list[Any] = [dandiset.get, dandiset.assets, dandiset.asset, dandiset.open, lab.sync]
    for method in methods:
        for value in (assets, assets[0], ["sub-0"]):
            with pytest.raises(TypeError, match=r"takes text, and this is of the type .*asset\.path"):
                method(value)
    for jobs in (0, -1, 1000):
        with pytest.raises(dm.MirrorError, match="from 1 to 256"):
            dandiset.get(jobs=jobs)
        with pytest.raises(dm.MirrorError, match="from 1 to 256"):
            dandiset.export("bagit", tmp_path / "bag", payload=True, jobs=jobs)
    (tmp_path / "file").touch()
    with pytest.raises(dm.MirrorError, match="is not a folder"):
        dm.Mirror(tmp_path / "file")
    for folder in (dandiset.path, dandiset.path / "sub-1"):
        with pytest.raises(dm.MirrorError, match=r"is a dataset of 000123, not a mirror; use it by dm\.Clone\("):
            dm.Mirror(folder)
    with pytest.raises(KeyError, match="has no Dandiset 123; get it by sync\\('000123'\\)"):
        lab[123]  # type: ignore[index]
    assert len(dm.Mirror(tmp_path / "new")) == 0
