"""``dandi-mirror sync``."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dandi_mirror.cli import options, output
from dandi_mirror.cli.ending import end_by_signals
from dandi_mirror.workflows import naming, tokens
from dandi_mirror.workflows.reports import report_record

if TYPE_CHECKING:
    from dandi_mirror.archive.names import Name
    from dandi_mirror.config import Settings
    from dandi_mirror.mirror.state.layout import Mirror
    from dandi_mirror.mirror.state.options import Options, Pace, Progress
    from dandi_mirror.model import DandisetRow, Report
    from dandi_mirror.workflows.watch import Watch


@click.command("sync")
@click.argument("dandisets", metavar="[ID]...", nargs=-1, shell_complete=options.complete_dandisets)
@click.option("--all", "everything", is_flag=True, help="Every open Dandiset of the archive.")
@options.versions
@options.embargoed
@click.option(
    "--mode", type=click.Choice(["auto", "verify", "force"]), default="auto", show_default=True,
    help="auto: what the archive says has changed; force: read every draft again; verify: compare every tag too.",
)  # fmt: skip
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be done; write nothing.")
@click.option(
    "--accept-changed", "accepted", metavar="VERSION", multiple=True,
    help="Tag this version anew, as --mode verify found it changed at the archive; the old tag gets another name.",
)  # fmt: skip
@click.option("--allow-deletes", is_flag=True, help="Follow the archive where it removes most of a Dandiset.")
@options.recheck_days
@click.option(
    "--time-limit", metavar="TIME", callback=options.seconds,
    help="End after this time (90s, 50m, 2h), though something is left for the next run; then with 5.",
)  # fmt: skip
@click.option("--scheduler", metavar="ADDRESS", help="Let the workers of a Dask cluster do it, not threads.")
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

    Each ID (000004, DANDI:000004, the link of its page) becomes a DataLad dataset in the mirror's folder; without
    an ID, those that are there already are brought up to date.  No content is downloaded but small text files: get
    that by `datalad get`, or name it with --get.  When nothing has changed, nothing is printed.
    """
    end_by_signals()
    from dandi_mirror.mirror.state.layout import Mirror
    from dandi_mirror.mirror.state.options import Options, Pace
    from dandi_mirror.workflows.watch import watched

    deadline = _deadline(time_limit)
    names, mirror = naming.read_names(dandisets), Mirror(mirror_path.absolute())
    settings = naming.settings_for(mirror_path, names, needed=True, **flags)
    asked = _Asked(_chosen(settings.instance, names, everything, flags), everything, naming.said(names))
    _check_accepted(accepted, asked.ids)
    pace = Pace(settings.jobs, scheduler or "", settings.recheck_days, deadline)
    with watched(mirror, settings, asked.words | {"mode": mode}, dry_run) as watch, _progress(output) as progress:
        wanted = Options(
            versions=settings.versions,
            mode=mode,
            dry_run=dry_run,
            allow_deletes=allow_deletes,
            embargoed=settings.embargoed,
            hosts=frozenset(settings.content_hosts),
            accepted=frozenset(accepted),
            progress=progress,
        )
        watch.code = _print(_run(settings, mirror, asked, wanted, pace, watch), mirror.path, wanted, output, watch)
    return watch.code


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


@dataclass(frozen=True, slots=True)
class _Asked:
    """Which Dandisets were asked for."""

    ids: list[str]
    everything: bool
    instance: str | None
    """As the names say it."""

    @property
    def words(self) -> dict[str, object]:
        """For the log."""
        return {"asked": self.ids or ("all" if self.everything else "mirrored")}


def _chosen(instance: str, names: Iterable[Name], everything: bool, flags: Mapping[str, object]) -> list[str]:
    """The ids that were typed; a wrong call ends here, before anything is done."""
    from dandi_mirror.archive.instances import api_url
    from dandi_mirror.errors import UsageError

    api_url(instance)
    ids = naming.dandisets(names)
    if everything and ids:
        raise UsageError("name Dandisets, or say --all; not both")
    if ids and (flags["include"] or flags["exclude"]):
        raise UsageError(
            "--include and --exclude choose where no Dandiset is named; name Dandisets, or rules, not both"
        )
    return ids


def _check_accepted(versions: tuple[str, ...], ids: list[str]) -> None:
    from dandi_mirror.errors import UsageError
    from dandi_mirror.model import is_version_id

    if versions and len(ids) != 1:
        raise UsageError("--accept-changed is about a version of one Dandiset; name that, too")
    for version in versions:
        if not is_version_id(version):
            raise UsageError(f"{version!a} is no published version; they are called as 0.220126.1852")


def _run(
    settings: Settings, mirror: Mirror, asked: _Asked, wanted: Options, pace: Pace, watch: Watch
) -> Iterable[Report]:
    from dandi_mirror.archive.api.client import Archive
    from dandi_mirror.archive.instances import check_called
    from dandi_mirror.mirror.fetch.scheduled import ContentRules, with_content
    from dandi_mirror.mirror.sync.run import list_all, sync_many

    ids, held = asked.ids, [] if asked.ids else mirror.dandisets()
    if not ids and not asked.everything and not held:
        from dandi_mirror.errors import UsageError

        raise UsageError(f"{mirror.path} holds no Dandiset yet; name one: dandi-mirror sync 000004 -d {mirror.path}")
    if pace.scheduler and wanted.embargoed:
        from dandi_mirror.errors import UsageError

        raise UsageError("workers are given no token: leave out --embargoed, or --scheduler")
    content = ContentRules(settings.get, settings.get_budget_each, settings.get_budget, pace.deadline)
    token = tokens.needed(settings.instance) if wanted.embargoed else tokens.given(settings.instance)
    with closing(tokens.session(settings, token)) as session:
        watch.session, archive, listed = session, Archive(session), None
        check_called(asked.instance, archive.instance)
        if not ids:
            listed = list_all(archive, mirror, wanted)
            ids = _by_rules(settings, listed.ids if asked.everything else held, listed.rows)
            watch.left_out = frozenset(held) - frozenset(ids)
        signal.setitimer(signal.ITIMER_REAL, 0)
        yield from with_content(sync_many(archive, mirror, ids, wanted, pace, listed), mirror, content, wanted)


def _by_rules(settings: Settings, ids: list[str], rows: Mapping[str, DandisetRow | None]) -> list[str]:
    from dandi_mirror.mirror.sync.filters import Rules

    if not settings.include and not settings.exclude:
        return ids
    rules = Rules(settings.include, settings.exclude)
    return [name for name in ids if rules.take(name, row.draft.name if (row := rows.get(name)) else None)]


def _print(reports: Iterable[Report], path: Path, wanted: Options, form: str, watch: Watch) -> int:
    counts: dict[str, int] = {}
    codes: set[int] = set()
    left = 0
    for report in reports:
        watch.add(report)
        left += report.deferred
        counts[report.status] = counts.get(report.status, 0) + 1
        codes.add(report.exit_code)
        if form == "json":
            output.print_json(report_record(report, path, wanted.dry_run))
        elif (report.status != "notneeded" or report.message or report.news) and not report.deferred:
            failed = report.status in {"error", "impossible"}
            output.say(output.report_line(report, wanted.dry_run), err=failed)
            for line in output.finding_lines(report.findings):
                output.say(line, err=True)
    from dandi_mirror.errors import exit_code

    code = exit_code(codes)
    if left and form == "text":
        output.say(f"the time limit came before {left:,} of the Dandisets were done; the next run does them", err=True)
    if form == "json":
        output.print_summary(code, **counts)
    return code


def _progress(form: str) -> AbstractContextManager[Progress]:
    """Each step in the log, where that is wanted; else a live line on a terminal; nothing anywhere else."""
    from logging import INFO

    from dandi_mirror.cli.logging_setup import LOG
    from dandi_mirror.mirror.state.options import silent

    if LOG.isEnabledFor(INFO):
        return nullcontext(lambda dandiset, doing: LOG.info("%s  %s", dandiset, doing))
    if form == "json" or not sys.stderr.isatty():
        return nullcontext(silent)
    from dandi_mirror.cli.progress import live

    return live()
