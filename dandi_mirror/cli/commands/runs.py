"""``dandi-mirror runs``: show what past runs did."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dandi_mirror.cli import options, output
from dandi_mirror.text import counted, human_size, printable, quoted
from dandi_mirror.workflows.sync.reports import report_of
from dandi_mirror.workflows.terminal import say

if TYPE_CHECKING:
    from dandi_mirror.mirror.monitor.run_log import Facts, PastRun
    from dandi_mirror.model import Report


_ROOM = 60
"""Letters of a message in the table."""


@click.command("runs")
@click.argument("run", metavar="[RUN]", required=False)
@options.mirror
@options.output
@options.log_level
def command(run: str | None, mirror_path: Path, output: str) -> None:
    """Show what past runs of `sync` did, from their logs; with RUN, all that one of them reported.

    RUN is a name from the list, or `last`.  A run that found nothing new is not listed; the run before it counts it
    (`again`).

    \b
    Examples:
      dandi-mirror runs -d dandi
      dandi-mirror runs last -d dandi
    """
    from dandi_mirror.errors import UsageError
    from dandi_mirror.mirror.monitor.run_log import past_runs
    from dandi_mirror.mirror.state.layout import Mirror

    mirror = Mirror(mirror_path.absolute())
    folder = mirror.own / "log"
    if not mirror.own.is_folder():
        raise UsageError(
            f"{mirror.path} is not a mirror, or no sync has run in it on this machine; name a mirror: -d DIR"
        )
    found = list(past_runs(folder))
    if not found and output == "text":
        say(f"no run has left a log in {mirror.path}", err=True)
    if run is None:
        _list(found, output)
        return
    named = found[:1] if run == "last" else [past for past in found if past.name == run]
    if not named:
        raise UsageError(
            f"{folder} has no log of a run {run!a}; see which there are: dandi-mirror runs -d {quoted(mirror_path)}"
        )
    _show(named[0], output)


def _list(found: list[PastRun], form: str) -> None:
    if form == "json":
        for run in found:
            output.print_json(_facts(run))
        output.print_summary(runs=len(found))
        return
    room = max((len(run.name) for run in found), default=0)
    line = f"{{:{room}}}  {{:20}}  {{:>9}}  {{:>4}}  {{:>5}}  {{:>6}}  {{}}"
    if found:
        output.say(line.format("run", "began", "seconds", "exit", "again", "failed", "changed").rstrip())
    for run in found:
        end = run.end or {}
        failed = end.get("error", 0) + end.get("impossible", 0)
        seconds, code = end.get("seconds", "no end"), end.get("exit_code", "")
        began = printable(run.first.get("began", ""))[:19] + "Z"
        output.say(line.format(printable(run.name), began, seconds, code, run.again, failed, _changed(run)).rstrip())


def _changed(run: PastRun) -> str:
    """Name the first Dandisets that changed, or say why the run as a whole failed."""
    names = [report.dandiset for report in _reports(run) if report.status == "ok"]
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return printable(" ".join(names[:5])) + more or _short(printable((run.end or {}).get("message", "")))


def _reports(run: PastRun) -> list[Report]:
    """What a run reported about each Dandiset; lines of another form, which somebody else has written, are left out."""
    return [report for record in run.records if (report := report_of(record))]


def _short(message: str) -> str:
    """Cut a message to what a line of the table has room for; `runs NAME` shows all of it."""
    return message if len(message) <= _ROOM else f"{message[: _ROOM - 1].rstrip()}…"


def _facts(run: PastRun) -> Facts:
    """Make the JSON record of one run."""
    end = {key: value for key, value in (run.end or {}).items() if key not in {"action", "said"}}
    facts = {"name": run.name, **run.first, "ended": "", "message": "", "exit_code": None, "again": run.again}
    place = {"path": str(run.path), "type": "file", "refds": str(run.path.path.parents[2])}
    return {**facts, "last": run.last, **place, "status": "", **end}


_ASKED = {"all": "all Dandisets of the archive", "mirrored": "the Dandisets of the mirror"}
_MODES = {"verify": ", reading again what is known (--mode verify)", "force": ", all anew (--mode force)"}
_VERSIONS = {
    "all": "all versions", "published": "published versions only", "latest": "the latest version only",
    "draft": "the draft only",
}  # fmt: skip
_STATUSES = {"ok": "changed", "notneeded": "without change", "impossible": "not possible", "error": "failed"}


def _about(run: PastRun) -> dict[str, str]:
    """What a run was asked for, and how it ended, in words."""
    first, end = run.first, run.end or {}
    asked, versions = first.get("asked", ""), first.get("versions", "")
    names = " ".join(map(str, asked)) if isinstance(asked, list) else _ASKED.get(asked, str(asked))
    counts = [f"{end[status]:,} {words}" for status, words in _STATUSES.items() if end.get(status)]
    return {
        "run": run.name,
        "began": f"{first.get('began', '')}, dandi-mirror {first.get('release', '')}, "
        f"process {first.get('pid', '')} on {first.get('host', '')}",
        "archive": f"{first.get('instance', '')}, {_VERSIONS.get(versions, versions)}",
        "asked for": f"{names}{_MODES.get(first.get('mode', ''), '')}",
        "ended": f"{end.get('ended', '')}, after {end.get('seconds', '')} seconds, with exit code {end['exit_code']}"
        if "exit_code" in end else "no end is known: it is still running, or it was killed",
        "message": str(end.get("message", "")),
        "Dandisets": ", ".join(counts),
        "network": f"{counted(end['requests'], 'request')}, {human_size(end.get('received', 0))} of answers; "
        f"{human_size(end.get('content', 0))} of content" if "requests" in end else "",
        "again": f"{counted(run.again, 'later run')} reported the same, the last at {run.last}" if run.again else "",
        "log": str(run.path),
    }  # fmt: skip


def _show(run: PastRun, form: str) -> None:
    if form == "json":
        for record in (_facts(run), *run.records):
            output.print_json(record)
        output.print_summary(runs=1)
        return
    for title, words in _about(run).items():
        if words:
            output.say(f"{title:12} {printable(words)}")
    for report in _reports(run):
        output.say(output.report_line(report, dry_run=False))
        for line in output.finding_lines(report.findings):
            output.say(line)
