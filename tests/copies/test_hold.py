"""``hold`` fetches what has the fewest copies within a pledge, and gives up only what others have."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys

import pytest

from tests.support.terminal import on_terminal
from tests.support.three_mirrors import DANDISET, NEW, OLD, ThreeMirrors, records

LATER = len(NEW["later.nwb"])
PUBLISHED = sum(map(len, OLD.values()))


def present(three: ThreeMirrors) -> set[str]:
    """The files whose content is here."""
    top = three.here.path / DANDISET
    return {path for path in {**OLD, **NEW} if (top / path).exists()}


@pytest.fixture
def full(three: ThreeMirrors) -> ThreeMirrors:
    """The mirror here has all content of the published version; the others are proved."""
    three.here.cli("sync", DANDISET, "--get", "sub-*")
    three.here.cli("fetch")
    three.here.cli("challenge")
    return three


def test_content_with_more_copies_makes_room_for_content_with_fewer(full: ThreeMirrors) -> None:
    shown = full.here.cli("hold", "--max-size", str(PUBLISHED), "-n").stdout.splitlines()
    assert [line.split()[-1] for line in shown[:2]] == ["sub-3/a.nwb", "later.nwb"]
    assert shown[2].startswith(f"would give up 1 file, 80 bytes and fetch 1 file, {LATER} bytes")
    assert present(full) == set(OLD), "a dry run does nothing"
    kept = full.here.cli("hold", "--max-size", str(PUBLISHED))
    assert "to give it up: --give-up" in kept.stderr
    assert present(full) == set(OLD), "without a terminal nothing is given up"
    done = full.here.cli("hold", "--max-size", str(PUBLISHED), "--give-up")
    assert done.stdout == f"gave up 1 file, 80 bytes; fetched 1 file, {LATER} bytes\n"
    assert present(full) == {*OLD, *NEW} - {"sub-3/a.nwb"}
    again = full.here.cli("hold", "--max-size", str(PUBLISHED), "--give-up")
    assert again.stdout == "gave up 0 files, 0 bytes; fetched 0 files, 0 bytes\n"
    # stock git-annex agrees
    assert full.here.git("annex", "find", "--in=here", "--want-drop", "--branch=draft") == ""
    assert full.here.git("annex", "find", "--not", "--in=here", "--want-get", "--branch=draft") == ""
    full.here.git("annex", "fsck", "--quiet", "--numcopies=2", "--all")
    lacking = full.here.git("annex", "find", "--branch=draft", "--lackingcopies=1")
    assert lacking == "", "by git-annex's count, the web and the mirrors have each file"


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 15))])
def test_a_hold_that_is_killed_again_and_again_ends_as_one_that_was_not(seed: int, full: ThreeMirrors) -> None:
    chance, struck = random.Random(seed), 0
    words = ["hold", "--max-size", str(PUBLISHED), "--give-up"]
    where = ["-d", str(full.here.path), "-i", full.here.server.api_url]
    command = [sys.executable, "-m", "dandi_mirror", *words, *where]
    while struck < 4:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as child:
            try:
                child.communicate(timeout=chance.uniform(0.05, 0.7))
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                struck += 1
    full.here.cli(*words)
    assert present(full) == {*OLD, *NEW} - {"sub-3/a.nwb"}
    full.here.git("annex", "fsck", "--quiet", "--numcopies=2", "--all")
    assert full.here.cli("verify", DANDISET, "--offline", "--content", "1").stdout == f"{DANDISET}  ok\n"


def test_nothing_is_given_up_that_another_mirror_cannot_show_now(full: ThreeMirrors) -> None:
    file = (full.basel.path / DANDISET / "sub-3/a.nwb").resolve()
    file.parent.chmod(0o755)
    file.unlink()
    file.write_bytes(b"x" * 80)
    done = full.here.cli("hold", "--max-size", str(PUBLISHED), "--give-up", code=3)
    assert "stays: a copy in another mirror could not be proved" in done.stderr
    assert "sub-3/a.nwb" in present(full)
    shutil.rmtree(full.oxford.path)
    full.here.cli("hold", "--max-size", "100", "--give-up", code=3)
    assert present(full) == set(OLD)


def test_git_annexs_own_numcopies_and_wanted_expression_of_a_person_are_kept(full: ThreeMirrors) -> None:
    full.here.git("annex", "numcopies", "3")
    full.here.git("annex", "wanted", ".", "include=sub-*")
    assert "would give up 0 files, 0 bytes and fetch 0 files" in full.here.cli("hold", "--max-size", "1T", "-n").stdout
    done = full.here.cli("hold", "--max-size", "100", "--give-up", code=3)
    assert "too few mirrors have copies" in done.stderr
    assert present(full) == set(OLD)
    assert full.here.git("annex", "wanted", ".") == "include=sub-*"


@pytest.mark.usefixtures("away")
def test_a_pledge_is_filled_from_other_mirrors_when_the_archive_is_away(three: ThreeMirrors) -> None:
    three.here.cli("fetch")
    done = three.here.cli("hold", "--max-size", "1T", "-f", "json")
    assert {record["file"] for record in records(done.stdout, "hold")} == {*OLD, *NEW}
    assert present(three) == {*OLD, *NEW}


@pytest.mark.usefixtures("away")
def test_a_pledge_is_filled_over_http(three: ThreeMirrors, http_mirror: tuple[str, list[str]]) -> None:
    three.know(three.here, {"oxford": http_mirror[0]})
    three.here.cli("fetch")
    three.here.cli("hold", "--max-size", "1T")
    assert present(three) == {*OLD, *NEW}
    three.here.git("annex", "fsck", "--quiet")


def test_verify_finds_nothing_wrong_with_what_fetch_challenge_and_hold_wrote(full: ThreeMirrors) -> None:
    full.here.cli("hold", "--max-size", str(PUBLISHED), "--give-up")
    assert full.here.cli("verify", DANDISET, "--offline", "--content", "1").stdout == f"{DANDISET}  ok\n"


def test_on_a_terminal_the_bar_names_the_file_that_comes(three: ThreeMirrors) -> None:
    three.here.cli("fetch")
    where = ("-d", str(three.here.path), "-i", three.here.server.api_url)
    with on_terminal("hold", "--max-size", "1T", *where) as terminal:
        assert terminal.end() == 0
    assert re.search(r"\b(a|later)\.nwb .*/5 files", terminal.plain), terminal.plain
    assert "SHA256E" not in terminal.plain


@pytest.mark.parametrize("answer", ["n", "y"])
def test_a_person_at_a_terminal_is_asked_before_anything_is_given_up(full: ThreeMirrors, answer: str) -> None:
    where = ("-d", str(full.here.path), "-i", full.here.server.api_url)
    with on_terminal("hold", "--max-size", str(PUBLISHED), *where) as terminal:
        terminal.answer("give up 1 file, 80 bytes that other mirrors have?", answer)
        assert terminal.end() == 0
    assert present(full) == (set(OLD) if answer == "n" else {*OLD, *NEW} - {"sub-3/a.nwb"})


def test_who_keeps_everything_is_not_told_that_too_few_mirrors_have_copies(full: ThreeMirrors) -> None:
    words = "are beyond the pledge, and"
    for options in ((), ("--keep",)):
        told = full.here.cli("hold", "--max-size", "100", *options, code=3).stderr
        assert told.endswith(f"{words} without --give-up nothing is given up\n"), told
    assert present(full) == set(OLD)
    full.here.cli("hold", "--max-size", "100", "--give-up")
    assert len(present(full)) < len(OLD)
