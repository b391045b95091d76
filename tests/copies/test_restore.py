"""A version comes whole from other mirrors when the archive is away, and what cannot come is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.ssh_server import ssh_server
from tests.support.three_mirrors import DANDISET, NEW, OLD, VERSION, ThreeMirrors, records
from tests.support.web_server import let_git_read, web_server

pytestmark = pytest.mark.usefixtures("away")


def test_a_version_comes_from_another_mirror_without_a_request_to_the_archive(three: ThreeMirrors) -> None:
    shown = three.here.cli("restore", f"{DANDISET}@{VERSION}", "-n").stdout
    assert shown.splitlines()[-1] == "would restore 4 files, 200 bytes"
    three.here.server.requests.clear()
    done = three.here.cli("restore", f"{DANDISET}@{VERSION}", "--from", "basel")
    assert done.stdout == "restored 4 files, 200 bytes\n"
    assert three.here.server.requests == []
    for path, content in OLD.items():
        assert (three.here.path / DANDISET / path).read_bytes() == content
    for arguments in ((), ("-n",)):
        again = three.here.cli("restore", f"{DANDISET}@{VERSION}", *arguments)
        assert (again.stdout, again.stderr) == ("", "nothing to restore: all content of this version is here\n")
    three.here.git("annex", "fsck", "--quiet")
    assert three.here.git("annex", "find", "--in=here", "--branch", VERSION).splitlines() == sorted(OLD)


def test_what_no_mirror_has_is_named_and_damaged_content_is_not_taken(three: ThreeMirrors) -> None:
    for mirror, paths in ((three.oxford, ("sub-1/a.nwb", "sub-2/a.nwb")), (three.basel, ("sub-2/a.nwb",))):
        for path in paths:
            file = (mirror.path / DANDISET / path).resolve()
            file.parent.chmod(0o755)
            file.unlink()
            file.write_bytes(b"x" * len(OLD[path]))
    done = three.here.cli("restore", f"{DANDISET}@draft", "-f", "json", code=3)
    status = {record["file"]: record["status"] for record in records(done.stdout, "restore")}
    assert status == dict.fromkeys([*OLD, *NEW], "ok") | {"sub-2/a.nwb": "error"}
    assert not (three.here.path / DANDISET / "sub-2/a.nwb").exists()


@pytest.mark.parametrize("by", ["path", "http"])
def test_of_a_file_that_nobody_has_undamaged_that_is_what_is_said(three: ThreeMirrors, by: str) -> None:
    for path, damaged in (("sub-2/a.nwb", False), ("later.nwb", True)):
        file = (three.oxford.path / DANDISET / path).resolve()
        size = file.stat().st_size
        file.parent.chmod(0o755)
        file.unlink()
        if damaged:
            file.write_bytes(b"x" * size)
    let_git_read(three.oxford.path)
    with web_server(three.oxford.path) as (url, _):
        three.know(three.here, {"oxford": url if by == "http" else str(three.oxford.path)})
        said = three.here.cli("restore", f"{DANDISET}@draft", code=3).stderr
    nowhere = "no mirror that answered has this content undamaged"
    assert sorted(said.splitlines()) == [f"later.nwb: {nowhere}", f"sub-2/a.nwb: {nowhere}"]


def test_a_mirror_that_is_away_is_named_and_the_others_give_what_they_have(three: ThreeMirrors) -> None:
    shutil.rmtree(three.oxford.path)
    done = three.here.cli("restore", f"{DANDISET}@draft", code=3)
    assert "restored 4 files, 200 bytes" in done.stdout
    assert "later.nwb" in done.stderr
    said = three.here.cli("restore", f"{DANDISET}@0.999999.0000", code=2).stderr
    assert f"{DANDISET}@0.999999.0000 is not in {three.here.path / DANDISET}; it has {DANDISET}@draft, " in said


def test_a_version_comes_over_http(three: ThreeMirrors, http_mirror: tuple[str, list[str]]) -> None:
    three.know(three.here, {"oxford": http_mirror[0]})
    assert three.here.cli("restore", f"{DANDISET}@draft").stdout == "restored 5 files, 226 bytes\n"
    assert (three.here.path / DANDISET / "later.nwb").read_bytes() == NEW["later.nwb"]


@pytest.mark.parametrize("by", ["path", "http"])
def test_content_comes_by_ssh_if_the_copy_in_another_mirror_is_damaged(
    three: ThreeMirrors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    file = (three.oxford.path / DANDISET / "sub-2/a.nwb").resolve()
    file.parent.chmod(0o755)
    file.unlink()
    file.write_bytes(b"x" * len(OLD["sub-2/a.nwb"]))
    let_git_read(three.oxford.path)
    with ssh_server(tmp_path / "ssh", monkeypatch) as place, web_server(three.oxford.path) as (url, _):
        oxford = url if by == "http" else str(three.oxford.path)
        three.know(three.here, {"oxford": oxford, "basel": f"ssh://{place}{three.basel.path}"})
        three.here.cli("restore", f"{DANDISET}@{VERSION}")
    assert (three.here.path / DANDISET / "sub-2/a.nwb").read_bytes() == OLD["sub-2/a.nwb"]
