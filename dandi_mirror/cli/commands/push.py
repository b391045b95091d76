"""``dandi-mirror push``: publish a mirror to its siblings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dandi_mirror.cli import options, output
from dandi_mirror.cli.exit import end_by_signals
from dandi_mirror.text import printable
from dandi_mirror.workflows.access import tokens
from dandi_mirror.workflows.access.current_clone import refuse_clone
from dandi_mirror.workflows.names import naming

if TYPE_CHECKING:
    from dandi_mirror.config import Settings, Sibling
    from dandi_mirror.mirror.push.push import Ask, PushResult
    from dandi_mirror.mirror.state.layout import Mirror


@click.command("push")
@click.argument("dandisets", metavar="[ID]...", nargs=-1, shell_complete=options.complete_dandisets)
@click.option("--all", "everything", is_flag=True, help="Push every Dandiset of the mirror, as without an ID.")
@click.option(
    "--to",
    "names",
    metavar="SIBLING",
    multiple=True,
    help="Push to this sibling; may be repeated.  [default: all siblings]",
)
@click.option(
    "--mode", type=click.Choice(["auto", "verify"]), default="auto", show_default=True,
    help="auto: push what has changed since the last push; verify: compare everything with the sibling.",
)  # fmt: skip
@options.dry_run
@options.mirror
@options.instance
@options.jobs
@options.output
@options.log_level
def command(
    dandisets: tuple[str, ...],
    everything: bool,
    names: tuple[str, ...],
    mode: str,
    dry_run: bool,
    mirror_path: Path,
    instance: str | None,
    jobs: int | None,
    output: str,
) -> int:
    """Publish the mirror: push what has changed to its siblings.

    dandi-mirror.toml names the siblings.  `push` sends branches, tags and the git-annex branch, but no content; it
    makes repositories that do not exist yet, and never uses force.  A Dandiset that the archive does not show to
    everybody goes to private siblings only.  If nothing has changed, `push` connects to nobody and prints nothing.

    \b
    Examples:
      dandi-mirror push -d dandi -n                    show what would be pushed
      dandi-mirror push 000004 --to backup -d dandi
    """
    end_by_signals()
    from dandi_mirror.mirror.push.push import PushRun, push_many
    from dandi_mirror.mirror.state.layout import Mirror

    named, mirror = naming.read_names(dandisets), Mirror(mirror_path.absolute())
    refuse_clone(mirror_path)
    settings = naming.settings_for(mirror_path, named, needed=True, asks_mirrors=True, instance=instance)
    wanted = naming.dandisets(named)
    ids = naming.chosen(mirror, wanted, everything)
    chosen = _siblings(settings, names, mirror_path)
    with _asking(settings.instance, naming.said(named), mirror) as ask:
        pushes = [PushRun(mirror, sibling, ids, ask, mode == "verify", dry_run) for sibling in chosen]
        reports = (report for push in pushes for report in push_many(push, jobs or settings.jobs or 4))
        return _print(reports, mirror.path, dry_run, output)


def _siblings(settings: Settings, names: tuple[str, ...], path: Path) -> list[Sibling]:
    from dandi_mirror.config import FILE, MIRROR
    from dandi_mirror.errors import UsageError

    others = {name for name, sibling in settings.sibling.items() if sibling.type == MIRROR}
    if wrong := [name for name in names if name in others]:
        raise UsageError(f"{path / FILE}: {wrong[0]} is another mirror, and nothing is pushed there; see: fetch")
    if unknown := [name for name in names if name not in settings.sibling]:
        known = f"it has: {', '.join(settings.sibling)}" if settings.sibling else "it has none"
        raise UsageError(f"{path / FILE} has no sibling {unknown[0]!r}; {known}")
    if not set(settings.sibling) - others:
        raise UsageError(f"{path / FILE} has no sibling to push to; add a [sibling.NAME] with a url")
    chosen = [settings.sibling[name] for name in dict.fromkeys(names or settings.sibling) if name not in others]
    for sibling in chosen:
        if sibling.error:
            raise UsageError(sibling.error)
        folder = Path(sibling.url.removeprefix("ria+file://"))
        if folder.is_absolute() and folder.resolve().is_relative_to(path.resolve()):
            raise UsageError(f"{path / FILE}: the sibling {sibling.name} is in the mirror's own folder; name another")
    return chosen


@contextmanager
def _asking(instance: str, said: str | None, mirror: Mirror) -> Iterator[Ask]:
    """Give a function that asks the archive for a Dandiset, and connects when it is first called.

    ``said`` is what the names that somebody typed call the archive.
    """
    from functools import cache
    from threading import Lock

    from dandi_mirror.archive.api.client import ArchiveClient
    from dandi_mirror.archive.http.session import Session
    from dandi_mirror.archive.instances import api_url, check_called

    guard = Lock()
    with ExitStack() as stack:

        @cache
        def connected() -> ArchiveClient:
            archive = ArchiveClient(stack.enter_context(closing(Session(api_url(instance), tokens.given(instance)))))
            check_called(said, archive.instance)
            # another archive's Dandiset with the same number may be open
            mirror.check_archive(str(archive.instance.dataset_id()))
            return archive

        def ask(dandiset: str):  # type: ignore[no-untyped-def]
            with guard:
                archive = connected()
            return archive.dandiset(dandiset)

        yield ask


def _print(reports: Iterable[PushResult], path: Path, dry_run: bool, form: str) -> int:
    from dandi_mirror.errors import exit_code

    counts: dict[str, int] = {}
    codes: set[int] = set()
    for report in reports:
        counts[report.status] = counts.get(report.status, 0) + 1
        codes.add(report.exit_code)
        if form == "json":
            output.print_json(push_record(report, path, dry_run))
        elif report.status != "notneeded" or (report.message and codes != {0}):
            output.say(_line(report, dry_run), err=bool(report.message))
    code = exit_code(codes)
    if form == "json":
        output.print_summary(code, **counts)
    return code


def _line(report: PushResult, dry_run: bool) -> str:
    """Say what was pushed of one dataset, or why it was not."""
    words = [report.dandiset or "superdataset", report.sibling]
    words += [", ".join(report.refs)] if report.refs else []
    words += [printable(report.message)] if report.message else []
    words += ["(nothing was pushed: --dry-run)"] if dry_run else []
    return "  ".join(words)


def push_record(report: PushResult, path: Path, dry_run: bool) -> dict[str, object]:
    """Make the JSON record of one dataset."""
    return {
        "action": "push",
        "path": str(path / report.dandiset),
        "type": "dataset",
        "refds": str(path),
        "dandiset": report.dandiset,
        "target": report.sibling,
        "status": report.status,
        "message": report.message,
        "refs": report.refs,
        "exit_code": report.exit_code,
        "dry_run": dry_run,
    }
