"""What the command line says when something is wrong, and the demo."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
from starlette.responses import RedirectResponse

from dandi_mirror.embedded import Archive
from dandi_mirror.errors import MirrorError, exit_code
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.repo.git.process import child_environment, find_program
from dandi_mirror.workflows.hints import name_the_mirror, with_mirror
from tests.conftest import MirrorOfTest, run
from tests.support.dandisets import seed
from tests.support.terminal import on_terminal


@pytest.mark.parametrize("option", [["-l", "debug"], ["--log-level=DEBUG"]])
def test_debug_tells_each_request_and_each_git_command_on_stderr(
    option: list[str], archive: Archive, mirror: MirrorOfTest
) -> None:
    seed(archive)
    done = mirror.cli("sync", "000123", *option)
    assert done.stdout == "000123  3 files, 27 bytes  +3\n"
    told = [line.partition(" DEBUG ")[2] for line in done.stderr.splitlines()]
    assert any(re.fullmatch(r"GET /dandisets/000123/ 200 \d+ ms", line) for line in told)
    assert sum(line.startswith("GET /") for line in told) == len(mirror.server.requests)
    assert [line for line in told if line.startswith(f"git -C {mirror.path}/000123 ") and " fast-import " in line]
    quiet = mirror.cli("sync", "000123", "-l", "info")
    assert (quiet.stdout, quiet.stderr) == ("", "")


def test_info_tells_each_step(archive: Archive, mirror: MirrorOfTest) -> None:
    seed(archive)
    told = mirror.cli("sync", "000123", "-l", "info").stderr
    assert "INFO 000123  listing the draft\n" in told
    assert "GET" not in told


def test_debug_tells_no_signed_url(archive: Archive, mirror: MirrorOfTest) -> None:
    seed(archive).add_asset("README", archive.add_blob(b"read me\n"))
    mirror.server.intercept = lambda request: (
        RedirectResponse(f"{mirror.server.origin}{request.path}?X-Amz-Signature=sealed")
        if "/blobs/" in request.path and not request.query
        else None
    )
    done = mirror.cli("sync", "000123", "-l", "debug")
    assert [request for request in mirror.server.requests if "sealed" in request.query]
    assert "/blobs/" in done.stderr
    assert "sealed" not in done.stdout + done.stderr


def test_debug_shows_where_an_error_comes_from_and_leaves_the_exit_code(tmp_path: Path) -> None:
    for option in (["-l", "debug"], ["-ldebug"], ["--log-level=debug"]):
        done = run("dandi-mirror", "sync", "4", *option, cwd=tmp_path, code=2)
        assert "Traceback (most recent call last)" in done.stderr
        assert done.stderr.endswith(
            "dandi-mirror: '4': this names no Dandiset; an id has six digits: did you mean 000004?\n"
        )
    done = run("dandi-mirror", "sync", "4", "-d", "debug", cwd=tmp_path, code=2)
    assert done.stderr.count("\n") == 1, "a path of that name does not turn it on"


def test_what_nobody_expected_is_one_line_and_ends_with_1() -> None:
    program = (
        "import sys, dandi_mirror.config as config\n"
        "def read_settings(path, **more): raise KeyError('x\\n\\x1b https://a.example.org/b?signature=sealed')\n"
        "config.settings_and_sources = read_settings\n"
        "from dandi_mirror.cli.main import main\nmain()"
    )
    done = run(sys.executable, "-c", program, "sync", "000004", code=1)
    said = "'x\\n\\x1b https://a.example.org/b?…'"
    line = f"dandi-mirror: unexpected: KeyError: {said}; run again with -l debug and report it\n"
    assert (done.stdout, done.stderr) == ("", line)
    told = run(sys.executable, "-c", program, "sync", "000004", "-l", "debug", code=1).stderr
    assert "Traceback (most recent call last)" in told
    assert told.endswith(line)
    assert "sealed" not in told


def test_a_git_that_talks_much_while_it_reads_is_not_waited_for_for_ever(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    # more than fits into a pipe, so that git must read for the program to go on
    seed(archive).add_asset("README", archive.add_blob(b"read me\n" * 20_000))
    shims, real = tmp_path / "shims", shutil.which("git")
    shims.mkdir()
    (shims / "git").write_text(
        f'#!/bin/sh\ncase "$*" in *fast-import*) head -c 1000000 /dev/zero | tr "\\0" x >&2;; esac\nexec {real} "$@"\n'
    )
    (shims / "git").chmod(0o755)
    command = [sys.executable, "-m", "dandi_mirror", "sync", "000123", "-d", str(mirror.path)]
    path = os.pathsep.join([str(shims), os.environ["PATH"]])
    done = run("timeout", "30", *command, "-i", mirror.server.api_url, env={"PATH": path})
    assert done.stdout.startswith("000123  4 files")


def test_a_new_repository_has_its_refs_in_files_whatever_git_would_rather_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DEFAULT_REF_FORMAT", "reftable")
    assert child_environment()["GIT_DEFAULT_REF_FORMAT"] == "files"


@pytest.mark.parametrize(
    ("name", "remedy"), [("git", "your system's packages"), ("git-annex", "pip install git-annex")]
)
def test_a_program_that_is_not_there_is_named_with_what_brings_it(
    name: str, remedy: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(MirrorError, match=remedy) as error:
        find_program.__wrapped__(name)
    assert ("pip" in str(error.value)) == (name != "git")


def test_a_second_run_ends_with_75_at_once_and_names_the_holder(archive: Archive, mirror: MirrorOfTest) -> None:
    seed(archive)
    with Mirror(mirror.path).lock("000123"):
        done = mirror.cli("sync", "000123", code=75)
    assert f"process {os.getpid()} on" in done.stderr
    assert mirror.cli("sync", "000123").returncode == 0


def test_the_demo_on_a_terminal_tells_its_story_and_what_it_prints_next_works_without_its_programs_on_path(
    tmp_path: Path,
) -> None:
    keep = tmp_path / "new demo"
    elsewhere = {"PATH": "/usr/local/bin:/usr/bin:/bin", "COLUMNS": "80"}
    with on_terminal("demo", "--keep", str(keep), env=elsewhere) as terminal:
        for part in ("2. A scientist", "3. She cites", "Next, with"):
            terminal.wait_for(part)
        assert terminal.end() == 0, terminal.output
    shown = terminal.output.replace("\r\n", "\n")
    assert "\x1b" not in shown
    assert "FAILED" not in shown
    assert shown.count("\n  ✓ ") == 7
    assert "The demo checked 7 claims (✓), and all of them hold" in shown
    assert "✓ all 87 files of 000004, in 2 versions and the draft, have the checksums\n" in shown
    prose = [line for line in shown.splitlines() if line.startswith(("──", "   ", "  ✓")) and "DANDI:" not in line]
    assert max(map(len, prose)) <= 80
    assert "(tag: 0.240301.1200)" in shown, "as git log shows it"
    commit = run("git", "-C", str(keep / "other-lab" / "000888"), "rev-parse", "0.240301.1200^{commit}").stdout.strip()
    assert f"In git: commit {commit}\n" in shown
    offline, online = shown.partition("Next, without a network:\n")[2].split("\n\nNext, with the real archive")
    assert "need the network" in online
    first, second = [line.strip() for line in offline.splitlines()]
    done = run("sh", "-c", first, env=elsewhere, cwd=tmp_path)
    assert "0.240415.0930" in done.stdout
    for line in (second, *(line.strip() for line in online.splitlines()[1:] if line)):
        program, *arguments = shlex.split(line)
        assert Path(program).is_file(), "its path, for it is not on PATH"
        assert run("sh", "-c", f"{shlex.quote(program)} {arguments[0]} --help", env=elsewhere).stdout
    refused = run("dandi-mirror", "demo", "--keep", str(keep), code=2)
    assert "exists already" in refused.stderr
    assert refused.stdout == "", "it is refused before anything runs"


@pytest.mark.slow
def test_a_demo_that_finds_something_wrong_fails(tmp_path: Path) -> None:
    program = (
        "import dandi_mirror.demo.run as run\n"
        "run.annex_keys = lambda output, dataset, version: {}\n"
        "from dandi_mirror.cli.main import main\nimport sys; sys.argv[1:] = ['demo']; main()"
    )
    done = run(sys.executable, "-c", program, code=7)
    assert "FAILED: all 87 files of 000004" in done.stdout
    assert "hold on this machine" not in done.stdout
    assert "these claims of the demo do not hold here: all 87 files of 000004" in done.stderr


@pytest.mark.parametrize(
    ("codes", "ends"),
    [
        (set(), 0), ({0}, 0), ({0, 5}, 5), ({3}, 3), ({0, 4, 5}, 3), ({2, 75}, 3), ({3, 5, 6}, 6), ({6, 7}, 7),
        ({1, 3}, 1), ({1, 6}, 6), ({0, 75}, 75),
    ],
)  # fmt: skip
def test_a_run_ends_with_what_its_failures_share_with_the_worst_or_with_3(codes: set[int], ends: int) -> None:
    assert exit_code(codes) == ends


def test_hints_name_the_mirror_that_the_person_named(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> None:
    seed(archive)
    mirror.cli("sync", "000123")
    here = str(mirror.path)
    done = run("dandi-mirror", "verify", "000890", "-d", here, cwd=tmp_path, code=2)
    assert done.stderr.strip().endswith(f"mirror it: dandi-mirror sync 000890 -d {here}")
    done = run("dandi-mirror", "coverage", "000890", "-d", here, cwd=tmp_path, code=2)
    assert f"dandi-mirror sync 000890 -d {here}" in done.stderr
    done = run("dandi-mirror", "verify", "000890", cwd=mirror.path, code=2)
    assert done.stderr.strip().endswith("mirror it: dandi-mirror sync 000890"), "who is in it needs no more"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("it: dandi-mirror sync 000123", "it: dandi-mirror sync 000123 -d '/a mirror'"),
        ("later: dandi-mirror status", "later: dandi-mirror status -d '/a mirror'"),
        ("dandi-mirror sync 000123, and go on", "dandi-mirror sync 000123 -d '/a mirror', and go on"),
        ("run dandi-mirror sync when that is done", "run dandi-mirror sync -d '/a mirror' when that is done"),
        (
            "dandi-mirror verify 000123 --content 0.5; to repair it, add --repair",
            "dandi-mirror verify 000123 --content 0.5 -d '/a mirror'; to repair it, add --repair",
        ),
        (
            "dandi-mirror sync 000123 --accept-changed 0.220126.1852",
            "dandi-mirror sync 000123 --accept-changed 0.220126.1852 -d '/a mirror'",
        ),
        ("dandi-mirror restore 000123@0.220126.1852", "dandi-mirror restore 000123@0.220126.1852 -d '/a mirror'"),
        (
            "in /t/a: dandi-mirror edit 000123 --from /t/a",
            "in /t/a: dandi-mirror edit 000123 --from /t/a -d '/a mirror'",
        ),
        ("make one (dandi-mirror sync 000123 -i X -d DIR)", "make one (dandi-mirror sync 000123 -i X -d DIR)"),
        ("dandi-mirror sync -d /b; or", "dandi-mirror sync -d /b; or"),
        ("see dandi-mirror validate", "see dandi-mirror validate"),
        ("in dandi-mirror.toml", "in dandi-mirror.toml"),
    ],
)
def test_each_form_of_a_hint_gets_the_mirror_once(said: str, shown: str) -> None:
    name_the_mirror(Path("/a mirror"))
    try:
        assert with_mirror(said) == shown
        assert with_mirror(shown) == shown
    finally:
        name_the_mirror(None)
    assert with_mirror(said) == said
