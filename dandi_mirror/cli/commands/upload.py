"""``dandi-mirror upload``: send the changes of a clone to the draft."""

from __future__ import annotations

from contextlib import closing, nullcontext
from typing import TYPE_CHECKING

import click

from dandi_mirror.cli import options
from dandi_mirror.cli.exit import end_by_signals
from dandi_mirror.cli.upload_output import UploadOutput
from dandi_mirror.text import printable
from dandi_mirror.workflows import terminal
from dandi_mirror.workflows.access import tokens

if TYPE_CHECKING:
    from dandi_mirror.workflows.upload.plan import Planned
    from dandi_mirror.workflows.upload.upload import Upload


@click.command("upload")
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@click.option("--sync", is_flag=True, help="Delete from the archive what you deleted here.")
@click.option("--allow-deletes", is_flag=True, help="Delete even more than half of the Dandiset.")
@click.option("--update", is_flag=True, help="First bring here what others have changed in the archive.")
@click.option(
    "--include", metavar="PATTERN", multiple=True,
    help="Send files that DANDI does not know, or that a program left behind, too.  PATTERN is a path, a name, a "
    "folder, or a glob such as '*.csv'; may be repeated.",
)  # fmt: skip
@options.dry_run
@click.option(
    "--validation", type=click.Choice(["require", "skip"]), default="require", show_default=True,
    help="require: do not send files with errors; skip: do not validate.",
)  # fmt: skip
@options.wait("compute checksums; the next sync brings what comes later")
@options.connections(64, 6)
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
    """Send what you changed in a clone, or in a dataset of the mirror, to the archive's draft.

    `upload` sends what is new, changed or renamed since the last sync, committed or not; PATHs choose among it.  It
    does not send content that the archive has.  Afterwards the work tree is as a sync makes it, and a branch
    uploaded/DATE-N keeps what you had committed.

    New files go up without a question if DANDI knows their kind: NWB files with their videos and images, and the files
    of a BIDS dataset.  `upload` names the others and leaves them out, unless you --include them, or answer yes on a
    terminal.

    \b
    Examples:
      dandi-mirror upload -n                        show what would be sent
      dandi-mirror upload sub-m1                    send what is new or changed in a folder
      dandi-mirror upload --include README.md       send a file of another kind, too
      dandi-mirror upload --include 'analysis/*'    send the files of a folder
    """
    end_by_signals()
    if update and dry_run:
        raise click.UsageError("--update writes, and --dry-run does not; leave one of them out")
    from dandi_mirror.archive.api.client import ArchiveClient
    from dandi_mirror.archive.instances import check_called
    from dandi_mirror.mirror.state.layout import mirror_of
    from dandi_mirror.workflows.upload.request import UploadRequest
    from dandi_mirror.workflows.upload.upload import Upload
    from dandi_mirror.workflows.upload.work_tree import upload_place

    folder, dandiset, settings, said, inside = upload_place(paths, instance)
    mirror = mirror_of(folder, dandiset)
    hosts, versions = frozenset(settings.content_hosts), "" if mirror.alone else settings.versions
    wanted = UploadRequest(inside, sync, allow_deletes, validation == "require", jobs, wait, hosts, versions, include)
    with closing(tokens.session(settings, tokens.needed(settings.instance), jobs)) as session:
        archive = ArchiveClient(session)
        check_called(said, archive.instance)
        upload = Upload(archive, mirror, dandiset, wanted)
        return _run(upload, UploadOutput(folder, output, dry_run), dry_run, update)


def _run(upload: Upload, results: UploadOutput, dry_run: bool, update: bool) -> int:
    from dandi_mirror.upload.change.execute import outcomes_without_work
    from dandi_mirror.workflows.upload.update import bring_changes

    with nullcontext() if dry_run else upload.held():
        if update and results.synced(bring_changes(upload)):
            return results.end(None)
        planned = upload.plan()
        if not dry_run and results.confirms(planned):
            planned = upload.taking(planned)
        results.plan(planned, upload.wanted)
        _check(upload, planned, may_ask=not dry_run and results.form == "text" and terminal.is_interactive())
        for outcome in outcomes_without_work(planned.plan, upload.wanted.names_itself):
            results.outcome(outcome)
        if dry_run or planned.idle(upload.wanted.selects):
            results.kept(upload.result.kept)
            results.unfinished(upload, planned)
            return results.end(None)
        with results.progress(planned, upload) as upload.doing:
            for outcome in upload.carry_out(planned):
                results.outcome(outcome)
        results.kept(upload.result.kept)
        results.unfinished(upload, planned)
        return results.end(upload.result.report)


def _check(upload: Upload, planned: Planned, *, may_ask: bool) -> None:
    """Refuse a plan that is not safe; if a person is there, ask instead before much is deleted."""
    from dandi_mirror.errors import UnsafePlan

    try:
        upload.check(planned)
    except UnsafePlan as error:
        if not may_ask:
            raise
        what, _, _ = str(error).partition("; ")
        terminal.confirm(f"{printable(what)}. Delete them?", "nothing was sent, and nothing was deleted")
