"""``dandi-mirror upload``."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dandi_mirror.cli import options, output
from dandi_mirror.cli.ending import end_by_signals
from dandi_mirror.text import human_size, printable
from dandi_mirror.workflows import naming, tokens
from dandi_mirror.workflows.reports import report_record

if TYPE_CHECKING:
    from dandi_mirror.config import Settings
    from dandi_mirror.mirror.locate.clones import LocalDandiset
    from dandi_mirror.model import Report
    from dandi_mirror.upload.change.execute import Outcome
    from dandi_mirror.workflows.upload import Upload
    from dandi_mirror.workflows.upload_plan import Planned

SHOWN = 10
"""So many files of a kind are named on the terminal; the others are counted."""
WORDS = {
    "add": "to add", "replace": "to replace", "rename": "to rename", "delete": "to delete", "done": "there already",
    "kept": "gone here, and kept there (--sync deletes)", "refused": "refused",
    "left out": "left out, as DANDI knows no such kind of file (--include PATTERN sends them)",
}  # fmt: skip


@click.command("upload")
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@click.option("--sync", is_flag=True, help="Delete from the archive what is gone here.")
@click.option("--allow-deletes", is_flag=True, help="Also if that is more than half of the Dandiset.")
@click.option("--update", is_flag=True, help="First bring here what others have done in the archive.")
@click.option(
    "--include", metavar="PATTERN", multiple=True,
    help="Send also what DANDI does not know, or a program left behind: a path, a name, a folder, or a glob "
    "as '*.csv'; may be repeated.",
)  # fmt: skip
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be done; send and write nothing.")
@click.option(
    "--validation", type=click.Choice(["require", "skip"]), default="require", show_default=True,
    help="require: files with errors are refused; skip: nobody looks.",
)  # fmt: skip
@click.option(
    "--wait", metavar="TIME", callback=options.seconds, default="10m", show_default=True,
    help="How long to wait for the archive to compute checksums; what comes later is for another sync.",
)  # fmt: skip
@click.option("-J", "--jobs", type=click.IntRange(1, 64), metavar="N", default=6, show_default=True,
              help="Connections at most.")  # fmt: skip
@options.instance
@options.output
@options.log_level
def command(
    paths: tuple[str, ...],
    sync: bool,
    allow_deletes: bool,
    update: bool,
    include: tuple[str, ...],
    dry_run: bool,
    validation: str,
    wait: float,
    jobs: int,
    instance: str | None,
    output: str,
) -> int:
    """Bring what you changed in a clone of a Dandiset, or in the mirror's own dataset, to the archive's draft.

    What is new, changed or renamed since the last sync goes up, whether it is committed or not; PATHs choose among
    it.  Content that the archive has is not sent.  Afterwards everything stands as a sync would have made it, and what
    you had committed is kept on a branch uploaded/DATE-N.

    New files go up by themselves if DANDI knows their kind: NWB files with their videos and images, and the files of a
    BIDS dataset.  Others are named and left out, unless you --include them, or say yes to them on a terminal.

    \b
      dandi-mirror upload -n                        what would be done
      dandi-mirror upload sub-m1                    what is new or changed in a folder
      dandi-mirror upload --include README.md       a file of another kind, too
      dandi-mirror upload --include 'analysis/*'    those of a folder
    """
    end_by_signals()
    if update and dry_run:
        raise click.UsageError("--update writes; leave it out, or --dry-run")
    from dandi_mirror.archive.api.client import Archive
    from dandi_mirror.archive.instances import check_called
    from dandi_mirror.mirror.state.layout import mirror_of
    from dandi_mirror.workflows.upload import Upload, Wanted

    folder, dandiset, settings, said, inside = _place(paths, instance)
    mirror = mirror_of(folder, dandiset)
    hosts, versions = frozenset(settings.content_hosts), "" if mirror.alone else settings.versions
    wanted = Wanted(inside, sync, allow_deletes, validation == "require", jobs, wait, hosts, versions, include)
    with closing(tokens.session(settings, tokens.needed(settings.instance), jobs)) as session:
        archive = Archive(session)
        check_called(said, archive.instance)
        upload = Upload(archive, mirror, dandiset, wanted)
        return _run(upload, _Telling(folder, output, dry_run), dry_run, update)


def _place(paths: tuple[str, ...], instance: str | None) -> tuple[Path, str, Settings, str | None, tuple[str, ...]]:
    """The work tree, its Dandiset, the settings, the archive as its record calls it, and what is chosen there."""
    from dandi_mirror.errors import UsageError
    from dandi_mirror.mirror.locate.clones import clone_at

    clones = []
    for path in paths or (".",):
        clone = clone_at(path) or _gone(path)
        if clone is None or clone.name.dandiset is None:
            raise UsageError(f"{path} is in no clone of a Dandiset; go into one, or name files of one")
        clones.append(clone)
        if clone.folder != clones[0].folder:
            raise UsageError(f"{path} is in {clone.folder}, not in {clones[0].folder}; upload from one at a time")
    name, folder = clones[0].name, clones[0].folder
    api = naming.api_here(name, folder.parent, folder)
    settings = naming.settings_for(folder.parent, [name], api, instance=instance)
    chosen = tuple((clone.name.path or "").rstrip("/") for clone in clones)
    return folder, str(name.dandiset), settings, name.instance, () if "" in chosen else chosen


def _gone(path: str) -> LocalDandiset | None:
    """A path that is not there any more: in the clone of the nearest folder that is."""
    from dataclasses import replace

    from dandi_mirror.mirror.locate.clones import clone_at
    from dandi_mirror.repo.git.files import place_of

    full = place_of(path)
    there = next(folder for folder in full.parents if folder.exists())
    clone = clone_at(str(there))
    if clone is None:
        return None
    inside = (there.resolve() / full.relative_to(there)).relative_to(clone.folder)
    return replace(clone, name=replace(clone.name, path=str(inside)))


def _run(upload: Upload, telling: _Telling, dry_run: bool, update: bool) -> int:
    from dandi_mirror.upload.change.execute import untouched

    with nullcontext() if dry_run else upload.held():
        if update and telling.synced(upload.update()):
            return telling.end(None)
        planned = upload.plan()
        if not dry_run and telling.confirms(planned):
            planned = upload.taking(planned)
        telling.plan(planned, upload.wanted.paths)
        _check(upload, planned, may_ask=not dry_run and telling.form == "text" and tokens.on_terminal())
        for outcome in untouched(planned.plan, upload.wanted.names_itself):
            telling.outcome(outcome)
        if dry_run or planned.idle(upload.wanted.selects):
            telling.kept(upload.result.kept)
            telling.unfinished(upload, planned)
            return telling.end(None)
        size = sum(step.size for step in planned.plan.changes)
        with telling.progress(size, upload) as upload.doing:
            for outcome in upload.carry_out(planned):
                telling.outcome(outcome)
        telling.kept(upload.result.kept)
        telling.unfinished(upload, planned)
        return telling.end(upload.result.report)


def _check(upload: Upload, planned: Planned, *, may_ask: bool) -> None:
    """Refuse what is not to be done as it stands; where somebody is there, ask before much is deleted."""
    from dandi_mirror.cli import asking
    from dandi_mirror.errors import UnsafePlan

    try:
        upload.check(planned)
    except UnsafePlan as error:
        if not may_ask:
            raise
        what, _, _ = str(error).partition("; ")
        asking.confirm(f"{printable(what)}. Delete them?", "nothing was sent, and nothing was deleted")


def _some(paths: list[str]) -> str:
    """The first of some paths, and how many more there are."""
    return ", ".join(paths[:SHOWN]) + (f" and {len(paths) - SHOWN:,} more" if len(paths) > SHOWN else "")


class _Telling:
    """What is told over an upload."""

    def __init__(self, folder: Path, form: str, dry_run: bool) -> None:
        self._folder = folder
        self.form = form
        self._dry_run = dry_run
        self._codes: set[int] = set()
        self._did: Counter[str] = Counter()
        self._statuses: Counter[str] = Counter()
        self._sent = 0
        self._failures = 0
        self._junk = 0

    def confirms(self, planned: Planned) -> bool:
        """Whether somebody at a terminal wants what would be left out to go up, too."""
        left = [step.path for step in planned.plan.steps if step.do == "left out"]
        if not left or self.form == "json" or not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        click.echo("DANDI does not know these as data:", err=True)
        for path in left[:SHOWN]:
            click.echo(f"    {printable(path)}", err=True)
        more = f" ({len(left) - SHOWN:,} more are not shown; -n names all)" if len(left) > SHOWN else ""
        return click.confirm(f"send {'it' if len(left) == 1 else f'all {len(left):,}'} all the same?{more}", err=True)

    def plan(self, planned: Planned, paths: Collection[str]) -> None:
        """The plan: every step in a dry run or as JSON, else so many of each kind."""
        steps, self._junk = planned.plan.steps, len(planned.ours.junk)
        if self.form == "json":
            for step in steps:
                facts = {"do": step.do, "size": step.size, "sha256": step.sha256, "from": step.old}
                self._record("plan", step.path, "impossible" if step.reason else "ok", step.reason, facts)
            return
        kinds = Counter(step.do for step in steps)
        for kind in WORDS:
            members = [step for step in steps if step.do == kind]
            shown = members if self._dry_run else members[:SHOWN] if kind != "refused" else []
            for step in shown:
                source = f"{printable(step.old)} → " if step.old else ""
                output.say(f"{kind:>8}  {human_size(step.size):>9}  {source}{printable(step.path)}")
            if len(members) > len(shown) and shown:
                output.say(f"{kind:>8}  … and {len(members) - len(shown):,} more (--dry-run names all)")
        if kinds:
            counted = ", ".join(f"{kinds[kind]:,} {words}" for kind, words in WORDS.items() if kinds[kind])  # type: ignore[index]
            output.say(f"{counted}; {planned.plan.unchanged:,} unchanged")
        elif paths:
            self.say("nothing to send: the archive has all of it as it is here")
        if junk := planned.ours.junk:
            what = "1 hidden file or leftover" if len(junk) == 1 else f"{len(junk):,} hidden files or leftovers"
            self.say(f"left out: {what} of programs, as {junk[0]} (--include PATTERN sends such)")
        if ignored := [path for path in planned.ours.ignored if path not in paths]:
            self.say(f"left out, because git ignores {'them' if len(ignored) > 1 else 'it'}: {_some(ignored)}")

    def outcome(self, outcome: Outcome) -> None:
        """What became of a step."""
        step = outcome.step
        self._codes.add(outcome.exit_code)
        self._statuses[outcome.status] += 1
        if outcome.status == "ok":
            self._did[step.do] += 1
            self._sent += outcome.sent
        if self.form == "json":
            facts = {"do": step.do, "size": outcome.size, "sha256": outcome.sha256, "asset_id": outcome.asset_id,
                     "from": step.old, "sent": outcome.sent, "exit_code": outcome.exit_code}  # fmt: skip
            self._record("upload", step.path, outcome.status, outcome.message, facts)
        elif outcome.message and outcome.exit_code:
            self._failures += 1
            if self._failures <= SHOWN or self._dry_run:
                output.say(f"{printable(step.path)}: {printable(outcome.message)}", err=True)

    def _record(self, action: str, path: str, status: str, message: str, facts: dict[str, object]) -> None:
        record = {"action": action, "path": str(self._folder / path), "type": "file", "refds": str(self._folder)}
        output.print_json(
            record | {"status": status, "message": message, "file": path, "dry_run": self._dry_run} | facts
        )

    def synced(self, report: Report) -> bool:
        """A sync before the plan; whether it failed, or was in the way of edits."""
        self._codes.add(report.exit_code)
        self._report(report)
        return report.status in {"error", "impossible"} or any(found.kind == "worktree" for found in report.findings)

    def kept(self, branch: str) -> None:
        """Where a person's commits are."""
        if branch:
            self.say(f"what you had committed is kept on the branch {branch}")

    def unfinished(self, upload: Upload, planned: Planned) -> None:
        """Uploads at the archive that have no end, as a run that was killed leaves them."""
        if not (count := upload.unfinished(planned)):
            return
        url = f"{upload.archive.session.api_url}/dandisets/{upload.dandiset}/uploads/"
        self.say(
            f"{count:,} unfinished upload{'' if count == 1 else 's'} at the archive, as an upload that was killed "
            f"leaves behind; the embargo cannot be lifted before they are cleared. When nobody uploads to "
            f"{upload.dandiset} any more, clear them: curl -X DELETE -H 'Authorization: token YOUR-API-KEY' {url}"
        )

    def _report(self, report: Report) -> None:
        if self.form == "json":
            output.print_json(report_record(report, self._folder.parent, False))
        elif report.status != "notneeded" or report.message or report.findings:
            output.say(output.report_line(report, False), err=report.status in {"error", "impossible"})
            for line in output.finding_lines(report.findings):
                output.say(line, err=True)

    def say(self, line: str) -> None:
        """Something that is no file, for people."""
        if self.form == "text":
            output.say(printable(line), err=True)

    def progress(self, total: int, upload: Upload) -> AbstractContextManager[Callable[[str], None]]:
        """What is done, bytes, rate and time left on a terminal; nothing anywhere else."""
        if self.form == "json" or not sys.stderr.isatty():
            return nullcontext(lambda doing: None)
        from dandi_mirror.cli.progress import transferring

        return transferring(total, lambda: upload.meter.passed)

    def end(self, report: Report | None) -> int:
        """The sync's report and the summary; the exit code."""
        from dandi_mirror.errors import exit_code

        if report:
            self._codes.add(report.exit_code)
        code = exit_code(self._codes)
        if self.form == "json":
            if report:
                self._report(report)
            output.print_summary(code, **self._statuses, sent=self._sent, junk=self._junk)
            return code
        if self._failures > SHOWN and not self._dry_run:
            output.say(f"… and {self._failures - SHOWN:,} more (-f json names all)", err=True)
        if self._did:
            past = {"add": "added", "replace": "replaced", "rename": "renamed", "delete": "deleted"}
            counted = ", ".join(f"{past[kind]} {count:,}" for kind, count in self._did.items())
            output.say(f"{counted}; sent {human_size(self._sent)}")
        if report:
            self._report(report)
        return code
