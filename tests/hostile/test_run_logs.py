"""The logs of a mirror that somebody else has made: `runs` shows what is a log, and leaves out what is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dandi_mirror.mirror.monitor.run_log import RunLog, past_runs
from tests.conftest import run

HIDDEN = "\x1b[2J\u202e"
RECORD = {"dandiset": "000123", "status": "ok", "exit_code": 0, "findings": [], "size": 5}
FINDING = {"version": "draft", "path": "a", "kind": "refused", "reason": "odd"}
END = {"action": "summary", "exit_code": 0, "ended": "now", "seconds": 1, "ok": 1, "requests": 2, "received": 3}
WRONG: dict[str, list[object]] = {
    "no fact at all": [{"action": "run"}, {"action": HIDDEN}, {"action": "summary"}],
    "no object": [{"action": "run"}, [], 3, None, END],
    "a begin of other types": [{"action": "run", "began": 3, "asked": {}, "versions": [], "mode": {}}, RECORD, END],
    "hidden letters": [{"action": "run", "began": HIDDEN, "host": HIDDEN}, {**RECORD, "dandiset": HIDDEN}, END],
    "a name that is a number": [{"action": "run"}, {**RECORD, "dandiset": 3}, END],
    "a size that is a text": [{"action": "run"}, {**RECORD, "size": "large"}, END],
    "a size beyond all": [{"action": "run"}, {**RECORD, "size": 10**400}, END],
    "tags that are a number": [{"action": "run"}, {**RECORD, "tags": 3}, END],
    "findings that are none": [{"action": "run"}, {**RECORD, "findings": 3}, {**RECORD, "findings": [3]}, END],
    "findings of other types": [{"action": "run"}, {**RECORD, "findings": [{"kind": []}, {"kind": "refused"}]}],
    "an end of other types": [{"action": "run"}, {**END, "exit_code": [], "seconds": "x", "ok": "x", "received": None}],
    "a message of another type": [{"action": "run"}, {**END, "message": {"a": 1}, "error": {}}],
}  # fmt: skip


def a_log(folder: Path, lines: list[object], again: object = None) -> None:
    """A mirror's folder with the log of one run."""
    log = folder / ".dandi-mirror" / "log"
    log.mkdir(parents=True)
    name = log / "20260101T000000.000000Z-1.jsonl"
    name.write_text("".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines))
    name.with_suffix(".again").write_text(json.dumps(again))


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("lines", WRONG.values(), ids=WRONG)
def test_runs_ends_well_whatever_stands_in_a_log(lines: list[object], form: str, tmp_path: Path) -> None:
    a_log(tmp_path, lines, {"runs": "many", "last": 3})
    for asked in ([], ["last"]):
        done = run("dandi-mirror", "runs", *asked, "-d", str(tmp_path), "-f", form, cwd=tmp_path)
        assert not set(done.stdout + done.stderr) & {"\x1b", "\u202e"}


def test_what_is_a_record_is_shown_beside_what_is_not(tmp_path: Path) -> None:
    later = {**RECORD, "dandiset": "000456", "findings": [{**FINDING, "said by": "a later release"}]}
    a_log(tmp_path, [{"action": "run"}, RECORD, {"dandiset": 3}, later, END], {"runs": 2, "last": "then"})
    assert "000123 000456" in run("dandi-mirror", "runs", "-d", str(tmp_path), cwd=tmp_path).stdout
    shown = run("dandi-mirror", "runs", "last", "-d", str(tmp_path), cwd=tmp_path).stdout
    assert "000123" in shown and "odd" in shown and "2 later runs" in shown


def test_a_run_is_counted_and_logged_after_logs_that_are_none(tmp_path: Path) -> None:
    a_log(tmp_path, [{"action": "run"}, {"action": "summary", "said": []}], {"runs": "many"})
    folder = tmp_path / ".dandi-mirror" / "log"
    for _ in range(2):
        RunLog(folder, 10, {}).end({"action": "summary", "exit_code": 0, "ended": "now", "seconds": 1})
    assert [past.again for past in past_runs(folder)] == [1, 0]
