"""The contract of the command line: exit codes, records, silence, speed."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
from starlette.responses import JSONResponse, RedirectResponse

from dandi_mirror.cli.main import COMMANDS, cli
from dandi_mirror.embedded import Archive, Server
from dandi_mirror.errors import MirrorError, exit_code
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.repo.git.process import child_environment, find_program
from tests.conftest import MirrorOfTest, run
from tests.support.commands import commands
from tests.support.dandisets import seed
from tests.support.terminal import on_terminal

HEAVY = ("requests", "git", "datalad", "pynwb", "h5py", "numpy", "starlette", "uvicorn", "rich", "orjson", "sqlite3")


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["sync", "--help"], ["demo", "--help"]])
def test_help_and_version_import_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys\nsys.argv = ['dandi-mirror', *sys.argv[1:]]\nfrom dandi_mirror.cli.main import main\n"
        f"try: main()\nfinally: print(sorted(set(sys.modules) & set({HEAVY!r})), file=sys.stderr)"
    )
    done = run(sys.executable, "-c", program, *arguments)
    assert done.stderr == "[]\n"
    assert "dandi-mirror" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_a_sentence(command: str) -> None:
    help_text = run("dandi-mirror", command, "--help").stdout
    assert help_text.startswith("Usage: dandi-mirror")
    assert len(help_text.splitlines()) > 5


def test_a_command_that_is_not_there_names_the_nearest() -> None:
    done = run("dandi-mirror", "snyc", code=2)
    assert "Did you mean 'sync'?" in done.stderr


def test_a_changed_dandiset_is_one_line_and_an_unchanged_one_nothing(archive: Archive, mirror: MirrorOfTest) -> None:
    seed(archive).publish("0.240101.0000", created="2024-01-01T00:00:00Z")
    first = mirror.cli("sync", "000123")
    assert first.stdout == "000123  3 files, 27 bytes  +3  tagged 0.240101.0000\n"
    assert first.stderr == ""
    again = mirror.cli("sync", "000123")
    assert (again.stdout, again.stderr) == ("", "")
    assert mirror.cli("sync").stdout == "", "without an ID, what is there is brought up to date"


def test_json_records_have_datalads_keys_and_a_summary_at_the_end(archive: Archive, mirror: MirrorOfTest) -> None:
    seed(archive)
    lines = [json.loads(line) for line in mirror.cli("sync", "000123", "-f", "json").stdout.splitlines()]
    assert len(lines) == 2
    assert {"action", "path", "type", "status", "refds", "message"} <= set(lines[0])
    assert (lines[0]["status"], lines[0]["added"]) == ("ok", 3)
    assert lines[0]["path"] == str(mirror.path / "000123")
    assert lines[1] == {"action": "summary", "status": "ok", "ok": 1, "exit_code": 0}


def test_one_failing_dandiset_does_not_stop_the_others(archive: Archive, mirror: MirrorOfTest) -> None:
    seed(archive)
    done = mirror.cli("sync", "000123", "000999", code=3)
    assert done.stdout.startswith("000123  3 files")
    assert done.stderr.count("\n") == 1
    assert "000999" in done.stderr
    assert "404" in done.stderr


def test_findings_are_named_on_stderr_and_in_the_exit_code_also_when_nothing_is_new(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    seed(archive).add_asset(".git/config", archive.add_blob(b"x"), unchecked=True)
    first = mirror.cli("sync", "000123", code=3)
    assert "refused  draft  .git/config" in first.stderr
    again = mirror.cli("sync", "000123", code=3)
    assert (again.stdout, again.stderr) == ("", "")


def test_control_characters_of_the_archive_do_not_reach_the_terminal(archive: Archive, mirror: MirrorOfTest) -> None:
    seed(archive).add_asset("a\x1b[31m\nb", archive.add_blob(b"x"), unchecked=True)
    done = mirror.cli("sync", "000123", code=3)
    assert "\x1b" not in done.stdout + done.stderr
    assert "a\\x1b[31m\\nb" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["sync", "4"], "six digits"),
        (["sync", "٠٠٠٠٠٤"], "six digits"),
        (["sync", "000004\n"], "six digits"),
        (["sync", "../000004"], "six digits"),
        (["sync", "000004", "--all"], "not both"),
        (["sync", "000004", "-i", "nowhere"], "dandi-sandbox"),
        (["sync", "000004", "-i", "http://archive.example.org"], "https"),
        (["sync", "000004", "-i", "https://me:secret@archive.example.org"], "no user name"),
        (["sync", "000004", "-i", "http://me:secret@archive.example.org"], "no user name"),
        (["sync", "000004", "-i", "https://me:secret"], "no valid host and port"),
        (["sync", "000004", "-i", "http://[::1"], "no valid host and port"),
        (["sync", "000004", "-i", "https://archive.example.org:99999999/api"], "no valid host and port"),
        (["sync", "000004", "-i", "https://archive.example.org:0/api"], "no valid host and port"),
        (["sync", "--mode", "fast"], "Invalid value"),
        (["sync"], "name one"),
    ],
)
def test_a_wrong_call_ends_with_2_and_says_what_is_right(arguments: list[str], hint: str, tmp_path: Path) -> None:
    done = run("dandi-mirror", *arguments, "-d", str(tmp_path / "mirror"), code=2)
    assert hint in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr
    assert not (tmp_path / "mirror").exists()


def test_a_folder_that_is_something_else_is_not_made_a_mirror(archive: Archive, mirror: MirrorOfTest) -> None:
    seed(archive)
    mirror.path.mkdir()
    (mirror.path / "thesis.tex").write_text("mine")
    done = mirror.cli("sync", "000123", code=2)
    assert "not empty and not a mirror" in done.stderr
    assert [path.name for path in mirror.path.iterdir()] == ["thesis.tex"]


def test_an_archive_that_is_down_is_temporary(mirror: MirrorOfTest) -> None:
    mirror.server.intercept = lambda _: JSONResponse({"detail": "down"}, 503)
    report = run(
        sys.executable, "-c",
        "import sys, dandi_mirror.archive.http.session as h\n"
        "h.Session.__init__.__defaults__ = (None, h.RetryPolicy(attempts=2, backoff=0.01))\n"
        "from dandi_mirror.cli.main import main\nsys.argv[0] = 'dandi-mirror'\nmain()",
        "sync", "000123", "-d", str(mirror.path), "-i", mirror.server.api_url, code=5,
    )  # fmt: skip
    assert "run the command again later" in report.stderr
    assert report.stderr.count("\n") == 1


def test_settings_in_the_mirror_are_used_and_a_wrong_one_names_the_nearest(
    archive: Archive, server: Server, mirror: MirrorOfTest
) -> None:
    seed(archive)
    mirror.path.mkdir()
    settings = mirror.path / "dandi-mirror.toml"
    settings.write_text(f'instance = "{server.api_url}"\nversions = "draft"\n')
    run("dandi-mirror", "sync", "000123", "-d", str(mirror.path))
    assert "refs/heads/draft" in mirror.refs()
    settings.write_text('instanse = "dandi"\n')
    done = run("dandi-mirror", "sync", "000123", "-d", str(mirror.path), code=2)
    assert "did you mean 'instance'?" in done.stderr


@pytest.mark.parametrize("jobs", ["-4", "0", "65", "true", '"4"', "1.5"])
def test_a_number_of_jobs_that_cannot_be_is_refused_as_the_flag_refuses_it(jobs: str, mirror: MirrorOfTest) -> None:
    mirror.path.mkdir()
    (mirror.path / "dandi-mirror.toml").write_text(f"jobs = {jobs}\n")
    assert "jobs must be a number" in mirror.cli("sync", "000123", code=2).stderr


def test_settings_that_are_nested_without_end_are_a_usage_error(mirror: MirrorOfTest) -> None:
    mirror.path.mkdir()
    (mirror.path / "dandi-mirror.toml").write_text("jobs = " + "[" * 100_000)
    assert mirror.cli("sync", "000123", code=2).stderr.count("\n") == 1


@pytest.mark.parametrize("name", commands(cli))
def test_every_command_has_the_log_level(name: str) -> None:
    assert "-l" in {option for parameter in commands(cli)[name].params for option in parameter.opts}


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
