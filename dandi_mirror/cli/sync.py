"""``dandi-mirror sync``."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dandi_mirror.cli import options, output

if TYPE_CHECKING:
    from dandi_mirror.mirror.options import Options, Pace, Progress
    from dandi_mirror.model import Report


@click.command("sync")
@click.argument("dandisets", metavar="[ID]...", nargs=-1, shell_complete=options.complete_dandisets)
@click.option("--all", "everything", is_flag=True, help="Every open Dandiset of the archive.")
@click.option(
    "--versions", type=click.Choice(["all", "published", "latest", "draft"]),
    help="Which versions to mirror.  [default: all]",
)  # fmt: skip
@click.option(
    "--mode", type=click.Choice(["auto", "verify", "force"]), default="auto", show_default=True,
    help="auto: what the archive says has changed; force: read every draft again; verify: compare every tag too.",
)  # fmt: skip
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be done; write nothing.")
@click.option("--allow-deletes", is_flag=True, help="Follow the archive where it removes most of a Dandiset.")
@click.option(
    "--recheck-days", type=click.IntRange(0, 3650), metavar="N",
    help="Read each Dandiset in full once in N days, a share on every run; 0: never.  [default: 7]",
)  # fmt: skip
@click.option(
    "--time-limit", metavar="TIME", callback=options.seconds,
    help="End after this time (90s, 50m, 2h), though something is left for the next run; then with 5.",
)  # fmt: skip
@click.option("--scheduler", metavar="ADDRESS", help="Let the workers of a Dask cluster do it, not threads.")
@options.mirror
@options.instance
@options.jobs
@options.output
@options.log_level
def command(
    dandisets: tuple[str, ...],
    everything: bool,
    versions: str | None,
    mode: str,
    dry_run: bool,
    allow_deletes: bool,
    recheck_days: int | None,
    time_limit: float | None,
    scheduler: str | None,
    mirror_path: Path,
    instance: str | None,
    jobs: int | None,
    output: str,
) -> int:
    """Mirror Dandisets, or bring them up to date.

    Each ID (000004, DANDI:000004) becomes a DataLad dataset in the mirror's folder; without an ID, those that
    are there already are brought up to date.  No content is downloaded but small text files: get that by
    `datalad get`.  When nothing has changed, nothing is printed.
    """
    from dandi_mirror.config import read_settings
    from dandi_mirror.mirror.options import Options, Pace

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    deadline = _deadline(time_limit)
    settings, path = read_settings(mirror_path), mirror_path.absolute()
    name = instance or settings.instance or "dandi"
    ids = _chosen(name, dandisets, everything)
    days = recheck_days if recheck_days is not None else settings.recheck_days
    pace = Pace(jobs or settings.jobs or 4, scheduler or "", 7 if days is None else days, deadline)
    versions, hosts = versions or settings.versions or "all", frozenset(settings.content_hosts)
    with _progress(output) as progress:
        wanted = Options(
            versions=versions, mode=mode, dry_run=dry_run, allow_deletes=allow_deletes, hosts=hosts, progress=progress
        )
        return _print(_run(name, path, ids, everything, wanted, pace), path, wanted, output)


def _deadline(time_limit: float | None) -> float | None:
    """When to end; until the list of Dandisets is there, and nothing has begun, by force."""
    if time_limit is None:
        return None

    def too_late(*_: object) -> None:
        from dandi_mirror.errors import TemporaryError

        raise TemporaryError("the time limit came before the archive had answered; run the command again later")

    signal.signal(signal.SIGALRM, too_late)
    signal.setitimer(signal.ITIMER_REAL, time_limit + 1)
    return time.monotonic() + time_limit


def _chosen(instance: str, dandisets: Iterable[str], everything: bool) -> list[str]:
    """The ids that were typed; a wrong call ends here, before anything is done."""
    from dandi_mirror.archive.instances import api_url, dandiset_id
    from dandi_mirror.errors import UsageError

    api_url(instance)
    ids = sorted({dandiset_id(text) for text in dandisets})
    if everything and ids:
        raise UsageError("name Dandisets, or say --all; not both")
    return ids


def _run(instance: str, path: Path, ids: list[str], everything: bool, wanted: Options, pace: Pace) -> Iterable[Report]:
    from dandi_mirror.archive.client import Archive
    from dandi_mirror.archive.http import Session
    from dandi_mirror.archive.instances import api_url
    from dandi_mirror.mirror.fleet import list_all, sync_many
    from dandi_mirror.mirror.mirror import Mirror

    mirror = Mirror(path)
    if not ids and not everything and not mirror.dandisets():
        from dandi_mirror.errors import UsageError

        raise UsageError(f"{path} holds no Dandiset yet; name one: dandi-mirror sync 000004 -d {path}")
    with closing(Session(api_url(instance), options.token(instance))) as session:
        archive, rows = Archive(session), None
        if not ids:
            ids, rows = list_all(archive, mirror, everything=everything)
        signal.setitimer(signal.ITIMER_REAL, 0)
        yield from sync_many(archive, mirror, ids, wanted, rows, pace)


def _print(reports: Iterable[Report], path: Path, wanted: Options, form: str) -> int:
    counts: dict[str, int] = {}
    codes: set[int] = set()
    left = 0
    for report in reports:
        left += report.deferred
        counts[report.status] = counts.get(report.status, 0) + 1
        codes.add(report.exit_code)
        if form == "json":
            output.print_json(output.report_record(report, path, wanted.dry_run))
        elif (report.status != "notneeded" or report.message or report.news) and not report.deferred:
            failed = report.status in {"error", "impossible"}
            click.echo(output.report_line(report, wanted.dry_run), err=failed)
            for line in output.finding_lines(report.findings):
                click.echo(line, err=True)
    code = exit_code(codes)
    if left and form == "text":
        click.echo(f"the time limit came before {left:,} of the Dandisets were done; the next run does them", err=True)
    if form == "json":
        output.print_json({"action": "summary", "status": "ok" if code == 0 else "error", **counts, "exit_code": code})
    return code


def exit_code(codes: set[int]) -> int:
    """One code for a run: an alarm or a full disk wins; else what all failures share; else 3."""
    failures = codes - {0}
    for worst in (7, 6, 1):
        if worst in failures:
            return worst
    return 0 if not failures else failures.pop() if len(failures) == 1 else 3


def _progress(form: str) -> AbstractContextManager[Progress]:
    """Each step in the log, where that is wanted; else a live line on a terminal; nothing anywhere else."""
    from logging import INFO

    from dandi_mirror.cli.log import LOG
    from dandi_mirror.mirror.options import silent

    if LOG.isEnabledFor(INFO):
        return nullcontext(lambda dandiset, doing: LOG.info("%s  %s", dandiset, doing))
    if form == "json" or not sys.stderr.isatty():
        return nullcontext(silent)
    from dandi_mirror.cli.progress import live

    return live()


__all__ = ["command", "exit_code"]
