"""A published version that the archive rewrites: an alarm, and what a person may do about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive, Dandiset
from dandi_mirror.mirror.sync.writer import Writer
from dandi_mirror.model import FindingKind
from tests.conftest import MirrorOfTest, run
from tests.support.dandisets import seed

VERSION = "0.240101.0000"
TAG, ALARM = f"refs/tags/{VERSION}", f"refs/dandi-mirror/alarm/{VERSION}"
KEPT = f"{TAG}-superseded-1"


def rewritten(archive: Archive, mirror: MirrorOfTest) -> tuple[Dandiset, dict[str, str]]:
    """A mirrored version of which the archive says something else now; and the refs from before."""
    dandiset = seed(archive)
    dandiset.publish(VERSION, created="2024-01-01T00:00:00Z")
    mirror.sync()
    before = mirror.refs()
    rename(dandiset, "Another name")
    return dandiset, before


def rename(dandiset: Dandiset, name: str) -> None:
    dandiset.versions[VERSION].given["name"] = name
    dandiset.forget()


def test_the_alarm_says_what_to_type_and_typing_it_tags_anew_and_keeps_the_old_tag(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    dandiset, before = rewritten(archive, mirror)
    said = mirror.cli("sync", "000123", "--mode", "verify", code=7).stderr
    assert "rewritten" in said and "the tag stays" in said
    for command in (f"git -C 000123 diff {VERSION} {ALARM}", f"dandi-mirror sync 000123 --accept-changed {VERSION}"):
        assert command in said
        assert command in mirror.cli("status", "000123", code=7).stdout
    dry = mirror.cli("sync", "000123", "-n", "--accept-changed", VERSION)
    assert f"{VERSION} is tagged anew" in dry.stdout and "nothing was written" in dry.stdout
    assert mirror.refs() == before | {ALARM: mirror.refs()[ALARM]}
    done = mirror.cli("sync", "000123", "--accept-changed", VERSION)
    assert f"{VERSION} is tagged anew, its old tag is {VERSION}-superseded-1" in done.stdout
    after = mirror.refs()
    assert (after[KEPT], ALARM in after) == (before[TAG], False)
    fresh = MirrorOfTest(tmp_path / "fresh", mirror.server)
    fresh.sync()
    assert after[TAG] == fresh.refs()[TAG], "the tag of a mirror that is made now"
    assert mirror.git("rev-parse", f"{VERSION}^{{}}") in mirror.git("rev-list", "draft"), "the draft holds it too"
    assert mirror.sync().exit_code == mirror.sync(mode="verify").exit_code == 0
    assert mirror.refs()[TAG] == after[TAG]
    assert " 1 version " in run("dandi-mirror", "ls", str(mirror.path)).stdout
    rename(dandiset, "A third name")
    assert mirror.sync(mode="verify").exit_code == 7
    mirror.cli("sync", "000123", "--accept-changed", VERSION)
    assert mirror.refs()[f"{TAG}-superseded-2"] == after[TAG]


def test_nothing_is_accepted_that_no_verification_has_shown(archive: Archive, mirror: MirrorOfTest) -> None:
    _, before = rewritten(archive, mirror)
    said = mirror.cli("sync", "000123", "--accept-changed", VERSION, code=2).stderr
    assert "--mode verify" in said
    assert "name it, too" in mirror.cli("sync", "--accept-changed", VERSION, code=2).stderr
    assert "is not a published version" in mirror.cli("sync", "000123", "--accept-changed", "draft", code=2).stderr
    assert mirror.refs() == before


def test_an_accepted_change_that_is_taken_back_is_an_alarm_again(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset, before = rewritten(archive, mirror)
    mirror.sync(mode="verify")
    report = mirror.sync(accepted=frozenset({VERSION}), mode="verify")
    assert (report.exit_code, report.findings) == (0, [])
    rename(dandiset, "A test")
    report = mirror.sync(mode="verify")
    assert [(finding.kind, finding.version) for finding in report.findings] == [(FindingKind.ALARM, VERSION)]
    mirror.sync(accepted=frozenset({VERSION}))
    assert mirror.refs()[TAG] == before[TAG]


def test_a_run_that_is_killed_while_it_accepts_is_completed_by_the_next(
    archive: Archive, mirror: MirrorOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, before = rewritten(archive, mirror)
    mirror.sync(mode="verify")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Writer, "write", killed)
        mirror.sync(accepted=frozenset({VERSION}))
    assert mirror.refs()[KEPT] == before[TAG]
    report = mirror.sync()
    assert (report.exit_code, report.findings) == (0, [])
    assert mirror.git("rev-parse", f"{VERSION}^{{}}") in mirror.git("rev-list", "draft")


def test_a_sibling_that_has_the_old_tag_is_not_forced_and_its_owner_is_told_what_to_type(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    _, before = rewritten(archive, mirror)
    there = tmp_path / "there"
    (mirror.path / "dandi-mirror.toml").write_text(f'[sibling.disk]\ntype = "bare"\nurl = "{there}"\nprivate = true\n')
    mirror.cli("push", "--to", "disk")
    mirror.sync(mode="verify")
    mirror.sync(accepted=frozenset({VERSION}))
    said = mirror.cli("push", "--to", "disk", code=3).stderr
    assert f"{VERSION} is still the tag from before --accept-changed" in said

    def tags() -> dict[str, str]:
        lines = run(
            "git", "-C", str(there / "000123"), "for-each-ref", "--format=%(refname) %(objectname)", "refs/tags"
        )
        return dict(line.split(" ") for line in lines.stdout.splitlines())

    assert tags() == {TAG: before[TAG]}
    command = said[said.index("git -C") :].partition("\n")[0]
    run("sh", "-c", command)
    assert tags() == {TAG: mirror.refs()[TAG], KEPT: before[TAG]}
    mirror.cli("push", "--to", "disk")
