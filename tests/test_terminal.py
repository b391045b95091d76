"""What a person sees on a terminal while something is being done, and when the output cannot be written."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from threading import Event

import pytest
from starlette.responses import Response

from dandi_mirror.archive.http.reasons import explain
from dandi_mirror.embedded import Archive, Request
from tests.conftest import MirrorOfTest
from tests.support.terminal import on_terminal, screen

SIZE = 1000


@pytest.fixture
def three(archive: Archive, mirror: MirrorOfTest) -> MirrorOfTest:
    """A Dandiset with three files of a kilobyte."""
    dandiset = archive.create_dandiset("000123", name="A test")
    for name in ("a.nwb", "b.nwb", "c.nwb"):
        dandiset.add_asset(f"sub-1/{name}", archive.add_blob(name.encode() * (SIZE // 5)))
    return mirror


def where(mirror: MirrorOfTest) -> tuple[str, ...]:
    return "-d", str(mirror.path), "-i", mirror.server.api_url


def held_back(mirror: MirrorOfTest, begun: int) -> Event:
    """Let content come up to the blob with this number; the others wait until the event is set."""
    go, asked = Event(), list[str]()

    def wait(request: Request) -> Response | None:
        if "/blobs/" in request.path:
            asked.append(request.path)
            if len(asked) > begun:
                go.wait(60)
        return None

    mirror.server.intercept = wait
    return go


def gone(request: Request) -> Response | None:
    return Response(status_code=404) if "/blobs/" in request.path or "/download/" in request.path else None


def test_the_screen_of_the_tests_shows_what_a_terminal_shows() -> None:
    assert screen("one\r\n\x1b[?25ltwo\r\x1b[2Kthree\r\n") == ["one", "three", ""]
    assert screen("bar\r\n\x1b[1A\x1b[2Kline\r\nbar") == ["line", "bar"]
    assert screen("longer\rshort") == ["shortr"]


def test_the_result_of_a_sync_is_on_a_line_of_its_own_above_the_spinner(three: MirrorOfTest) -> None:
    with on_terminal("sync", "000123", *where(three)) as terminal:
        assert terminal.end() == 0
    assert "work tree" in terminal.plain, "the spinner said what was being done"
    assert [line for line in terminal.lines if line] == ["000123  3 files, 3.0 kB  +3"]


def test_the_findings_of_a_sync_are_on_lines_of_their_own(archive: Archive, three: MirrorOfTest) -> None:
    archive.dandisets["000123"].add_asset("a\nb.nwb", archive.add_blob(b"x"))
    with on_terminal("sync", "000123", *where(three)) as terminal:
        assert terminal.end() == 3
    first, second = (line for line in terminal.lines if line)
    assert first == "000123  3 files, 3.0 kB  +3"
    assert second.startswith("  refused  draft  ")


def test_content_after_a_sync_has_a_bar_with_its_dandiset_the_current_file_and_how_many(three: MirrorOfTest) -> None:
    go = held_back(three, 1)
    with on_terminal("sync", "000123", "--get", "*.nwb", *where(three)) as terminal:
        terminal.wait_for("1/3 files")
        go.set()
        assert terminal.end() == 0
    assert re.search(r"000123 [abc]\.nwb .*1/3 files", terminal.plain)
    assert [line for line in terminal.lines if line] == ["000123  3 files, 3.0 kB  +3  got 3 files, 3.0 kB"]


def test_the_bar_of_get_has_a_count_and_the_current_file_and_lines_are_above_it(
    three: MirrorOfTest, tmp_path: Path
) -> None:
    three.sync()
    three.git_clone(tmp_path / "clone")
    three.server.intercept = gone
    with on_terminal("get", str(tmp_path / "clone"), "-i", three.server.api_url) as terminal:
        code = terminal.end()
    assert "/3 files" in terminal.plain, "the bar was there"
    shown = [line for line in terminal.lines if line]
    assert code and sum(bool(re.match(r"sub-1/[abc]\.nwb: ", line)) for line in shown) == 3, shown
    assert not any("files" in line and "kB" in line for line in shown), "and it is gone"


def test_a_sync_whose_lines_go_to_a_file_has_its_spinner_on_the_terminal_only(
    three: MirrorOfTest, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    program = "import sys; sys.stdout = open(sys.argv.pop(1), 'w'); from dandi_mirror.cli.main import main; main()"
    with on_terminal(str(out), "sync", "000123", *where(three), program=program) as terminal:
        assert terminal.end() == 0
    assert out.read_text() == "000123  3 files, 3.0 kB  +3\n"
    assert not [line for line in terminal.lines if line]


def test_ctrl_c_at_the_question_for_a_key_says_that_none_was_kept(three: MirrorOfTest) -> None:
    for command in (["login"], ["sync", "000123", "--embargoed", "-d", str(three.path)]):
        with on_terminal(*command, "-i", three.server.api_url) as terminal:
            terminal.press("API key for", "\x03")
            assert terminal.end() == 130
        assert "interrupted; no API key was kept" in terminal.plain
        assert "run the command again" not in terminal.plain
    assert not (three.path / "000123").exists()


def test_ctrl_c_after_no_work_does_not_speak_of_work() -> None:
    with on_terminal("archive", "serve", "--empty") as terminal:
        terminal.press("serving until Ctrl-C", "\x03")
        terminal.end()
    assert "the rest" not in terminal.plain


# --- an output that cannot be written -----------------------------------------------------------------------


def full(*arguments: str) -> tuple[int, str]:
    """The exit code and stderr of a command whose output goes to a full disk."""
    with Path("/dev/full").open("w") as disk:
        command = [sys.executable, "-m", "dandi_mirror", *arguments]
        done = subprocess.run(command, stdout=disk, stderr=subprocess.PIPE, text=True, check=False, timeout=120)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["log", "000123"], ["diff", "000123"], ["ls", "000123"], ["ls", "000123", "-f", "json-array"],
        ["status", "--offline"], ["status", "--offline", "-f", "json"], ["config"], ["runs"], ["runs", "-f", "json"],
        ["search", "nwb"], ["sync", "000123", "--mode", "force", "-f", "json"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_an_output_that_cannot_be_written_is_the_disks_failure(three: MirrorOfTest, command: list[str]) -> None:
    three.cli("sync", "000123")
    place = where(three) if command[0] in {"ls", "status", "sync"} else where(three)[:2]
    assert full(*command, *place) == (6, "dandi-mirror: cannot write the output: No space left on device\n")


@pytest.mark.parametrize("command", [["--help"], ["--version"], ["sync", "--help"], ["shell-completion"], ["doctor"]])
def test_a_help_that_cannot_be_written_is_the_disks_failure_too(command: list[str]) -> None:
    assert full(*command) == (6, "dandi-mirror: cannot write the output: No space left on device\n")


def test_only_one_function_prints(request: pytest.FixtureRequest) -> None:
    package = request.config.rootpath / "dandi_mirror"
    found = {
        path.name
        for folder in ("cli", "workflows")
        for path in (package / folder).rglob("*.py")
        if re.search(r"click\.(echo|secho|confirm|prompt)\(|\bprint\(", path.read_text())
    }
    assert found == {"terminal.py"}


def test_a_reason_is_in_words_and_not_the_name_of_a_class() -> None:
    assert explain(ConnectionError(), "example.org").words == "the connection failed"


def test_an_end_by_force_erases_the_live_display_and_shows_the_cursor() -> None:
    program = """
import time
from dandi_mirror.cli import exit, progress
exit.GRACE = 0.1
exit.end_by_signals("nothing was sent")
with progress.live() as shown:
    shown.doing("hanging")
    shown.amount("", "a file", (0, 3), 0, 10)
    shown.refresh()
    while True:
        try:
            time.sleep(600)
        except KeyboardInterrupt:
            pass
"""
    with on_terminal(program=program) as terminal:
        terminal.press("0/3 files", "\x03")
        assert terminal.end() == 130
    assert terminal.output.rfind("\x1b[?25h") > terminal.output.rfind("\x1b[?25l")
    assert [line for line in terminal.lines if line] == ["interrupted; nothing was sent"]
