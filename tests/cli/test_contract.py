"""The contract of the command line: exit codes, records, silence."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from starlette.responses import JSONResponse

from dandi_mirror.cli.main import COMMANDS, cli
from dandi_mirror.embedded import Archive, Server
from tests.conftest import MirrorOfTest, run
from tests.support.commands import commands
from tests.support.dandisets import seed

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
        (["sync", "../000004"], "names no Dandiset"),
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
        (["sync"], "make one: dandi-mirror sync 000004 -d /"),
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
    assert "not empty and not a mirror (it holds thesis.tex)" in done.stderr
    assert [path.name for path in mirror.path.iterdir()] == ["thesis.tex"]


def test_a_command_that_a_message_names_makes_the_mirror_or_a_folder_has_to_be_chosen(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    seed(archive)
    mine = tmp_path / "my data"
    where = ("-i", mirror.server.api_url)
    for word in ("sync", "status", "verify"):
        hint = run("dandi-mirror", word, "-d", str(mine), code=2).stderr
        assert f"make one: dandi-mirror sync 000004 -d '{mine}'" in hint, word
    (mine / "papers").mkdir(parents=True)
    for words in (["sync"], ["verify"], ["cite", "000123@draft"]):
        hint = run("dandi-mirror", *words, cwd=mine, code=2).stderr
        assert re.search(r"sync 000\d+ -d DIR; or name a mirror", hint), hint
    mirror.cli("sync", "000123")
    for inside in (mirror.path / "000123" / "sub-1", mirror.path / "000123" / "new"):
        inside.mkdir(exist_ok=True)
        for names in ([], ["000123", *where]):
            hint = run("dandi-mirror", "sync", *names, cwd=inside, code=2).stderr
            assert f"; to mean the mirror of that: -d {mirror.path}; to make a mirror: -d DIR" in hint
    hint = run("dandi-mirror", "sync", cwd=mirror.path / "000123", code=2).stderr
    assert f"000123 is the dataset of a Dandiset; to mean the mirror of that: -d {mirror.path}\n" in hint
    hint = run("dandi-mirror", "sync", "000123", *where, "-d", "mirror", cwd=mirror.path, code=2).stderr
    assert f"is in the mirror {mirror.path}; to mean that one: -d {mirror.path}; to make another: -d DIR" in hint
    assert not (mirror.path / "mirror").exists()
    run("git", "init", "-q", str(mine))
    run("dandi-mirror", "sync", "000123", *where, "-d", str(mine / "inputs"))  # in a repository of another kind


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


def test_a_long_title_is_cut_off_where_everybody_sees_it(archive: Archive, mirror: MirrorOfTest) -> None:
    for identifier, length in (("000123", 70), ("000124", 71)):
        archive.create_dandiset(identifier, name="t" * length)
        mirror.cli("sync", identifier)
    assert f"  {'t' * 70}  (from" in mirror.cli("ls", "000123").stdout
    assert f"  {'t' * 69}…  (from" in mirror.cli("ls", "000124").stdout
    listed = run("dandi-mirror", "ls", ".", cwd=mirror.path).stdout.splitlines()
    assert [line[-1] for line in listed] == ["t", "…"]


def test_an_archive_at_another_port_is_told_apart_from_a_mistyped_address(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    seed(archive)
    mirror.cli("sync", "000123")
    url = mirror.server.api_url
    for given, is_hint in ((f"{url}/dandisets", False), ("http://127.0.0.1:9/api", True)):
        told = run("dandi-mirror", "sync", "-d", str(mirror.path), "-i", given, code=2).stderr
        assert f"is a mirror of {url}, and -i says {given}" in told
        assert ("if it is the same archive at another port" in told) == is_hint


def test_a_number_without_its_zeros_is_an_id_in_a_clone_too(archive: Archive, mirror: MirrorOfTest) -> None:
    seed(archive)
    mirror.cli("sync", "000123")
    for folder in (mirror.path, mirror.path / "000123"):
        for command in ("ls", "log", "owners"):
            told = run("dandi-mirror", command, "123", cwd=folder, code=2).stderr
            assert told.endswith("an id has six digits: did you mean 000123?\n"), told
