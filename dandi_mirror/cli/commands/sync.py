"""``dandi-mirror sync``: mirror Dandisets, or bring them up to date."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dandi_mirror.cli import options, output, progress
from dandi_mirror.cli.exit import end_by_signals
from dandi_mirror.workflows import terminal
from dandi_mirror.workflows.sync.reports import report_record

if TYPE_CHECKING:
    from dandi_mirror.model import Report


@click.command("sync")
@click.argument("dandisets", metavar="[ID]...", nargs=-1, shell_complete=options.complete_dandisets)
@click.option("--all", "everything", is_flag=True, help="Mirror every Dandiset of the archive that is open.")
@options.versions
@options.embargoed
@click.option(
    "--mode", type=click.Choice(["auto", "verify", "force"]), default="auto", show_default=True,
    help="auto: read what the archive says has changed; force: read every draft again; verify: compare every tag, too.",
)  # fmt: skip
@options.dry_run
@click.option(
    "--accept-changed", "accepted", metavar="VERSION", multiple=True,
    help="Tag this version again, because --mode verify found that the archive has changed it; the old tag gets "
    "another name.",
)  # fmt: skip
@click.option("--allow-deletes", is_flag=True, help="Follow the archive even if it removes most of a Dandiset.")
@options.recheck_days
@click.option(
    "--time-limit", metavar="TIME", callback=options.seconds,
    help="Stop after this time (90s, 50m, 2h); exit with 5 if something is left for the next run.",
)  # fmt: skip
@click.option("--scheduler", metavar="ADDRESS", help="Let the workers of a Dask cluster do the work, not threads.")
@options.include
@options.exclude
@options.get
@options.get_budget
@options.get_budget_each
@options.metrics
@options.mirror
@options.instance
@options.jobs
@options.output
@options.log_level
def command(
    dandisets: tuple[str, ...],
    everything: bool,
    mode: str,
    dry_run: bool,
    accepted: tuple[str, ...],
    allow_deletes: bool,
    time_limit: float | None,
    scheduler: str | None,
    mirror_path: Path,
    output: str,
    **flags: object,
) -> int:
    """Mirror Dandisets, or bring them up to date.

    Each ID (000004, DANDI:000004, or the link of its page) becomes a DataLad dataset in the folder of the mirror.
    Without an ID, `sync` brings the Dandisets up to date that are there already.  It downloads small text files, but
    no other content: get that with `dandi-mirror get` or `datalad get`, or name it with --get.  If nothing has
    changed, `sync` prints nothing.

    \b
    Examples:
      dandi-mirror sync 000004 -d dandi                    mirror one Dandiset in the folder dandi
      dandi-mirror sync -d dandi                           bring all of that mirror up to date
      dandi-mirror sync -d dandi --get '*.nwb' --get-budget 50GB
    """
    end_by_signals()
    from dandi_mirror.workflows.sync.sync import SyncRequest, run_sync

    request = SyncRequest(
        dandisets, everything, mode, dry_run, allow_deletes, accepted, scheduler or "", _deadline(time_limit)
    )
    shown = _Shown(mirror_path.absolute(), output, dry_run)
    code = run_sync(mirror_path, request, flags, shown.take, show=lambda: progress.show_steps(output), begins=_no_alarm)
    shown.end(code)
    return code


def _deadline(time_limit: float | None) -> float | None:
    """Return when to end; until the list of Dandisets has come, and nothing has begun, end by force."""
    if time_limit is None:
        return None

    def too_late(*_: object) -> None:
        from dandi_mirror.errors import TemporaryError

        raise TemporaryError("the time limit passed before the archive had answered; run the command again later")

    signal.signal(signal.SIGALRM, too_late)
    signal.setitimer(signal.ITIMER_REAL, time_limit + 1)
    return time.monotonic() + time_limit


def _no_alarm() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)


class _Shown:
    """What a run prints: a line for each Dandiset that is news, then what is left, or the totals."""

    def __init__(self, path: Path, form: str, dry_run: bool) -> None:
        self._path = path
        self._form = form
        self._dry_run = dry_run
        self._left = 0
        self._has_told = False
        self._counts: dict[str, int] = {}

    def take(self, report: Report) -> None:
        """Print what became of a Dandiset."""
        self._left += report.deferred
        self._counts[report.status] = self._counts.get(report.status, 0) + 1
        if self._form == "json":
            output.print_json(report_record(report, self._path, self._dry_run))
        elif (report.status != "notneeded" or report.message or report.news) and not report.deferred:
            self._has_told = True
            failed = report.status in {"error", "impossible"}
            output.say(output.report_line(report, self._dry_run), err=failed)
            for line in output.finding_lines(report.findings):
                output.say(line, err=True)

    def end(self, code: int) -> None:
        """Print what the whole run has left, or did."""
        if self._form == "json":
            output.print_summary(code, **self._counts)
        elif self._left:
            output.say(
                f"the time limit came before {self._left:,} of the Dandisets were done; the next run does them",
                err=True,
            )
        elif code and not self._has_told and terminal.is_interactive():
            # not to cron: it would mail this after every run
            output.say(
                "nothing is new, but what an earlier run reported has not changed; to see it: dandi-mirror status",
                err=True,
            )
