"""``dandi-mirror publish``."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dandi_mirror.cli import asking, options, output
from dandi_mirror.cli.ending import end_by_signals
from dandi_mirror.text import human_size, printable
from dandi_mirror.workflows import naming, tokens

if TYPE_CHECKING:
    from dandi_mirror.archive.api.client import Archive
    from dandi_mirror.config import Settings
    from dandi_mirror.mirror.state.layout import Mirror
    from dandi_mirror.model import DandisetRow, Report


def _notes(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Release notes, typed or from a file; too long ones are refused before the archive does."""
    from dandi_mirror.errors import UsageError
    from dandi_mirror.upload.change.publishing import LONGEST_NOTES

    text = value
    if value.startswith("@"):
        try:
            text = Path(value[1:]).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise UsageError(f"--notes: {value[1:]}: {getattr(error, 'strerror', None) or error}") from error
    if len(text := text.strip()) > LONGEST_NOTES:
        raise UsageError(f"--notes: {len(text):,} letters; the archive takes {LONGEST_NOTES:,}")
    return text


@click.command("publish")
@click.argument("dandiset", metavar="ID", shell_complete=options.complete_dandisets)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("-n", "--dry-run", is_flag=True, help="Say whether it could be published; publish nothing.")
@click.option(
    "--wait", metavar="TIME", callback=options.seconds, default="10m", show_default=True,
    help="How long to wait for the archive to validate, and to publish.",
)  # fmt: skip
@click.option(
    "--notes", metavar="TEXT|@FILE", callback=_notes, default="", help="Release notes: what is new in this version.",
)  # fmt: skip
@options.mirror
@options.instance
@options.output
@options.log_level
def command(
    dandiset: str,
    yes: bool,
    dry_run: bool,
    wait: float,
    notes: str,
    mirror_path: Path,
    instance: str | None,
    output: str,
) -> int:
    """Publish the draft of a Dandiset as a version with a DOI, which cannot be undone; then mirror it.

    What the archive would not publish is named first, each with what to do.  Prints the citation.
    """
    end_by_signals()
    from dandi_mirror.archive.api.client import Archive
    from dandi_mirror.archive.instances import check_called
    from dandi_mirror.errors import UsageError
    from dandi_mirror.mirror.state.layout import Mirror

    name = naming.read_name(dandiset)
    (identifier,) = naming.dandisets([name])
    if not yes and not dry_run and not tokens.on_terminal():
        raise UsageError(f"publishing cannot be undone, and nobody can be asked here; type: publish {identifier} --yes")
    settings, mirror = naming.settings_for(mirror_path, [name], instance=instance), Mirror(mirror_path.absolute())
    with closing(tokens.session(settings, tokens.needed(settings.instance))) as session:
        archive = Archive(session)
        check_called(name.instance, archive.instance)
        mirror.superdataset.check_is_ours(str(archive.instance.dataset_id()))
        row = _checked(archive, identifier, wait, output)
        if row is None or dry_run:
            return _told_only(identifier, row, output)
        if not yes:
            asking.confirm(
                f"publish {identifier} ({_what(row)})? It cannot be undone", f"{identifier} was not published"
            )
        from dandi_mirror.upload.change.publishing import publish_draft

        version = publish_draft(archive, row, wait, notes)
        report = _sync(archive, mirror, identifier, settings)
    return _tell(mirror, identifier, version, report, output)


def _checked(archive: Archive, identifier: str, wait: float, form: str) -> DandisetRow | None:
    """The row of a Dandiset that can be published; None, and why it cannot is told."""
    from dandi_mirror.upload.change.publishing import obstacles, until_validated

    row = until_validated(archive, identifier, wait)
    reasons = list(obstacles(archive, row, "the Dandiset's page at the archive"))
    for reason in reasons:
        if form == "json":
            output.print_json({"action": "publish", "status": "impossible", "dandiset": identifier, "message": reason})
        else:
            output.say(f"{identifier} cannot be published: {printable(reason)}", err=True)
    return None if reasons else row


def _told_only(identifier: str, row: DandisetRow | None, form: str) -> int:
    """The end of a run that publishes nothing; ``row`` is of a Dandiset that could be."""
    code = 0 if row else 3
    if form == "json":
        if row:
            output.print_json({"action": "publish", "status": "ok", "dandiset": identifier, "dry_run": True})
        output.print_summary(code)
    elif row:
        output.say(f"{identifier} could be published now: {_what(row)}", err=True)
    return code


def _what(row: DandisetRow) -> str:
    return f"{printable(row.draft.name)}: {row.draft.asset_count:,} files, {human_size(row.draft.size)}"


def _sync(archive: Archive, mirror: Mirror, identifier: str, settings: Settings) -> Report:
    from dandi_mirror.mirror.state.options import Options
    from dandi_mirror.mirror.sync.dandiset import sync_dandiset

    versions = "all" if settings.versions == "draft" else settings.versions
    wanted = Options(versions=versions, hosts=frozenset(settings.content_hosts))
    return sync_dandiset(archive, mirror, identifier, wanted)


def _tell(mirror: Mirror, identifier: str, version: str, report: Report, form: str) -> int:
    """The citation, or why the mirror does not have it."""
    from dandi_mirror.mirror.format.record_reader import dandiset_record
    from dandi_mirror.mirror.history.citation import Citation

    dataset = mirror.dataset(identifier)
    text = ""
    if dataset.exists() and dataset.ref(f"refs/tags/{version}"):
        commit, seconds = dataset.tagged(version)
        with dataset.reader() as reader:
            (content,) = reader.read([f"{commit}:dandiset.yaml"])
        text = Citation.of(dandiset_record(content), commit, datetime.fromtimestamp(seconds, UTC)).form("text")
    if form == "json":
        facts = {"action": "publish", "status": "ok", "dandiset": identifier, "version": version, "citation": text}
        output.print_json({**facts, "path": str(dataset.path), "type": "dataset", "message": report.message})
        output.print_summary(report.exit_code)
    else:
        output.say(
            f"{identifier}@{version} is published and mirrored" if text else f"{identifier}@{version} is published"
        )
        if text:
            output.say(text.rstrip("\n"))
        if report.exit_code:
            output.say(output.report_line(report, False), err=True)
            for line in output.finding_lines(report.findings):
                output.say(line, err=True)
    return report.exit_code
