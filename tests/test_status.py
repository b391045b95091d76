"""``status``, ``cite``, ``config``, ``doctor`` and completion: what a user sees around a sync."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from starlette.responses import Response

from dandi_mirror.archive.instances import token_variable
from dandi_mirror.config import template
from dandi_mirror.embedded import Archive
from dandi_mirror.repo.git.programs import PROGRAMS, InstalledProgram, version_numbers
from tests.conftest import MirrorOfTest, run
from tests.support.dandisets import seed

TAG = "0.240101.0000"


def word(mirror: MirrorOfTest, *arguments: str, code: int = 0) -> str:
    done = mirror.cli("status", *arguments, "-f", "json", code=code)
    record, summary = map(json.loads, done.stdout.splitlines())
    assert (summary["action"], summary["exit_code"]) == ("summary", code)
    assert {"action", "path", "type", "status", "refds", "message"} <= set(record)
    return str(record["word"])


def test_status_says_up_to_date_then_behind_and_asks_for_rows_only(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = seed(archive)
    dandiset.publish(TAG, created="2024-01-01T00:00:00Z")
    mirror.sync()
    before = mirror.refs()
    mirror.server.requests.clear()
    assert mirror.cli("status").stdout == "000123  up to date  1 version\n"
    assert len(mirror.server.requests) == 2
    dandiset.delete_asset("sub-0/sub-0_ses-1_ecephys.nwb")
    assert word(mirror) == "behind"
    mirror.server.requests.clear()
    assert word(mirror, "--offline") == "up to date"
    assert mirror.server.requests == []
    assert mirror.refs() == before


def test_status_names_what_is_pending_and_refused(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = seed(archive)
    dandiset.add_asset("late.nwb", archive.add_blob(b"late", sha256_known=False))
    dandiset.add_asset(".git/x", archive.add_blob(b"x"), unchecked=True)
    mirror.sync()
    done = mirror.cli("status", code=3)
    assert done.stdout.startswith("000123  pending")
    assert "late.nwb" in done.stdout
    assert ".git/x" in done.stdout


def test_status_tells_gone_forbidden_embargoed_and_not_mirrored_apart(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = seed(archive)
    mirror.sync()
    dandiset.set_embargo("EMBARGOED")
    assert word(mirror, code=3) == "forbidden"
    archive.add_user("owner", "a" * 40)
    dandiset.owners.append("owner")
    done = mirror.cli("status", "-f", "json", env={token_variable(mirror.server.api_url): "a" * 40}, code=3)
    assert json.loads(done.stdout.splitlines()[0])["word"] == "embargoed"
    dandiset.set_embargo("OPEN")
    archive.delete_dandiset("000123")
    assert word(mirror, code=3) == "gone"
    assert word(mirror, "000999", code=3) == "not mirrored"
    assert mirror.git("rev-parse", "draft"), "nothing is deleted because of an answer"


def test_status_says_when_a_failure_was_and_the_next_sync_ends_it(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = seed(archive)
    mirror.sync()
    mirror.server.intercept = lambda request: Response("not JSON") if "/versions/draft/" in request.path else None
    dandiset.delete_asset("sub-0/sub-0_ses-1_ecephys.nwb")
    assert mirror.cli("sync", "000123", code=5)
    mirror.server.intercept = None
    first, why = mirror.cli("status", code=3).stdout.splitlines()
    assert first.startswith("000123  unanswered")
    assert re.match(r"  the last sync, at 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ, said: ", why)
    record = json.loads(mirror.cli("status", "-f", "json", code=3).stdout.splitlines()[0])
    assert record["failed"] in why and record["failure"] in why
    mirror.cli("sync", "000123")
    assert mirror.cli("status").stdout.startswith("000123  up to date  0 versions\n")


def test_status_counts_local_edits(archive: Archive, mirror: MirrorOfTest) -> None:
    seed(archive).add_asset("README", archive.add_blob(b"read me\n"))
    mirror.sync()
    (mirror.path / "000123" / "README").write_text("mine\n")
    assert mirror.cli("status").stdout == "000123  up to date  0 versions, 1 local edit\n"


def test_status_of_a_mirror_whose_memory_is_gone_is_unfinished(archive: Archive, mirror: MirrorOfTest) -> None:
    seed(archive)
    mirror.sync()
    (mirror.path / ".dandi-mirror" / "index.sqlite").unlink()
    assert word(mirror, code=3) == "unfinished"
    mirror.sync()
    assert word(mirror) == "up to date"


@pytest.fixture
def cited(archive: Archive, mirror: MirrorOfTest) -> MirrorOfTest:
    people = [
        {"name": "Müller, Anna_B", "includeInCitation": True},
        {"name": "The 100% Lab", "includeInCitation": True},
        {"name": "Hidden, Hugo", "includeInCitation": False},
    ]
    dandiset = archive.create_dandiset(
        "000123", name='A "test" & more', metadata={"contributor": people, "license": ["spdx:CC-BY-4.0"]}
    )
    dandiset.add_asset("a.nwb", archive.add_blob(b"a"))
    dandiset.publish(TAG, created="2024-01-01T00:00:00Z")
    mirror.sync()
    mirror.server.requests.clear()
    return mirror


def cite(mirror: MirrorOfTest, *arguments: str, code: int = 0) -> str:
    done = run("dandi-mirror", "cite", *arguments, "-d", str(mirror.path), code=code)
    return done.stdout if code == 0 else done.stderr


def test_a_citation_has_the_doi_and_the_commit_of_the_tag(cited: MirrorOfTest) -> None:
    commit = cited.git("rev-parse", f"{TAG}^{{commit}}")
    text = cite(cited, f"000123@{TAG}")
    assert "Müller, Anna_B; The 100% Lab (2024)" in text
    assert "Hugo" not in text
    assert f"https://doi.org/10.48324/dandi.000123/{TAG}" in text
    assert commit in text
    assert cite(cited, f"DANDI:000123/{TAG}") == text
    assert cited.server.requests == []


def test_the_forms_for_reference_managers_can_be_read(cited: MirrorOfTest) -> None:
    bibtex = cite(cited, f"000123@{TAG}", "-f", "bibtex")
    assert bibtex.startswith("@dataset{dandi_000123_0_240101_0000,\n")
    assert r"author = {Müller, Anna\_B and {The 100\% Lab}}" in bibtex
    assert r'title = {{A "test" \& more}}' in bibtex
    assert bibtex.count("{") == bibtex.count("}")
    ris = cite(cited, f"000123@{TAG}", "-f", "ris").splitlines()
    assert (ris[0], ris[-1]) == ("TY  - DATA", "ER  - ")
    assert all(line[2:6] == "  - " for line in ris)
    cff = yaml.safe_load(cite(cited, f"000123@{TAG}", "-f", "cff"))
    assert cff["cff-version"] == "1.2.0"
    assert cff["authors"] == [{"family-names": "Müller", "given-names": "Anna_B"}, {"name": "The 100% Lab"}]
    assert (cff["title"], cff["license"], cff["version"]) == ('A "test" & more', "CC-BY-4.0", TAG)


def test_a_draft_is_cited_by_its_commit_and_a_version_that_is_not_there_names_those_that_are(
    cited: MirrorOfTest,
) -> None:
    assert f"commit {cited.git('rev-parse', 'draft')}, the draft of" in cite(cited, "000123@draft")
    assert "name the version" in cite(cited, "000123", code=2)
    assert f"did you mean 000123@{TAG}?" in cite(cited, "000123@0.240101.0001", code=2)
    assert "mirror it first" in cite(cited, "000999@0.240101.0001", code=2)


def test_config_shows_settings_and_makes_a_commented_file_that_changes_nothing(tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    before = run("dandi-mirror", "config", "-d", str(mirror)).stdout
    assert re.search(r"^instance +dandi ", before, re.M)
    run("dandi-mirror", "config", "--init", "-d", str(mirror))
    assert (mirror / "dandi-mirror.toml").read_text() == template()
    assert run("dandi-mirror", "config", "-d", str(mirror)).stdout == before
    assert "exists already" in run("dandi-mirror", "config", "--init", "-d", str(mirror), code=2).stderr
    (mirror / "dandi-mirror.toml").write_text(template().replace("# jobs", "jobs").replace("# content", "content"))
    assert re.search(r"^jobs +4 +\(/", run("dandi-mirror", "config", "-d", str(mirror)).stdout, re.M)


def test_doctor_names_every_part_and_an_old_one_gets_one_line(tmp_path: Path) -> None:
    done = run("dandi-mirror", "doctor")
    for name in ("dandi-mirror", "python", "git", "git-annex", "datalad"):
        assert f"\n{name} " in "\n" + done.stdout
    old = tmp_path / "git-annex"
    old.write_text("#!/bin/sh\necho 8.20210223\n")
    old.chmod(0o755)
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    done = run("dandi-mirror", "doctor", env={"PATH": path}, code=1)
    assert done.stderr == "git-annex 8.20210223 is too old (need 10.20230126); pip install -U git-annex\n"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (b"#!/bin/sh\necho 'libx.so.1: cannot open it' >&2\nexit 127\n", "libx.so.1: cannot open it"),
        (b"#!/bin/sh\nexit 1\n", "it ended with 1"),
        (b"#!/nowhere/sh\n", "No such file or directory"),
        (b"\x7fELF of another machine", "Exec format error"),
    ],
)
def test_doctor_says_that_a_program_does_not_run_and_names_the_one_that_it_hides(
    tmp_path: Path, script: bytes, why: str
) -> None:
    broken = tmp_path / "git-annex"
    broken.write_bytes(script)
    broken.chmod(0o755)
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    done = run("dandi-mirror", "doctor", env={"PATH": path}, code=1)
    start = f"{broken} does not work ({why}); remove it, or put another one before it in your PATH; "
    assert done.stderr.startswith(start) and done.stderr.count("\n") == 1
    if there := shutil.which("git-annex", path=str(Path(sys.executable).parent)):
        assert done.stderr == f"{start}{there} is another one\n"
    assert f"git-annex              unknown                  {broken}" in done.stdout


def test_doctor_says_that_git_needs_a_name_before_a_clone_fails(home: Path, tmp_path: Path) -> None:
    assert "Test Person <test@example.org>" in run("dandi-mirror", "doctor").stdout
    (home / ".gitconfig").write_text("[user]\n\tuseConfigOnly = true\n")
    done = run("dandi-mirror", "doctor", code=1)
    assert done.stderr.startswith("git does not know your name: datalad clone")
    assert 'git config --global user.name "Your Name"' in done.stderr
    named = {"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@b"}
    assert run("dandi-mirror", "doctor", env=named).stderr == ""


def test_versions_are_compared_as_numbers() -> None:
    assert version_numbers("10.20230126-2") == (10, 20230126)
    assert version_numbers("git version 2.9.1") < version_numbers("2.39.5")
    assert InstalledProgram(PROGRAMS[0], "", "").complaint.startswith("git is not installed")


def test_completion_knows_commands_options_and_mirrored_dandisets(archive: Archive, mirror: MirrorOfTest) -> None:
    seed(archive)
    mirror.sync()
    for shell in ("bash", "zsh", "fish"):
        assert "_DANDI_MIRROR_COMPLETE" in run("dandi-mirror", "shell-completion", "-s", shell).stdout

    def complete(words: str, place: int) -> str:
        environment = {
            "_DANDI_MIRROR_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(place),
            "DANDI_MIRROR": str(mirror.path),
        }  # fmt: skip
        return run("dandi-mirror", env=environment).stdout

    assert complete("dandi-mirror sta", 1) == "plain,status\n"
    assert "plain,--dry-run" in complete("dandi-mirror sync --d", 2)
    assert complete("dandi-mirror sync 0001", 2) == "plain,000123\n"
