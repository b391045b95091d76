"""``dandi-mirror publish``: publish a draft as a version."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dandi_mirror.cli import options, output, progress
from dandi_mirror.cli.exit import end_by_signals
from dandi_mirror.cli.output import draft_line
from dandi_mirror.text import printable
from dandi_mirror.workflows import terminal
from dandi_mirror.workflows.access import current_clone
from dandi_mirror.workflows.names import naming

if TYPE_CHECKING:
    from dandi_mirror.model import ListedDandiset, Report
    from dandi_mirror.workflows.owner.publish import Publication


def _notes(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Read release notes, typed or from a file, and refuse what the archive would refuse as too long."""
    from dandi_mirror.errors import UsageError
    from dandi_mirror.upload.change.publishing import LONGEST_NOTES
    from dandi_mirror.workflows.names.named_text import named_text

    try:
        text = named_text(Path(value[1:]), 2 * LONGEST_NOTES) if value.startswith("@") else value
    except UsageError as error:
        raise UsageError(f"--notes: {error}") from error
    if len(text := text.strip()) > LONGEST_NOTES:
        raise UsageError(f"--notes: the text has {len(text):,} letters; the archive takes at most {LONGEST_NOTES:,}")
    return text


@click.command("publish")
@click.argument("dandiset", metavar="ID", shell_complete=options.complete_dandisets)
@click.option("--yes", is_flag=True, help="Publish without asking for confirmation.")
@options.dry_run
@options.wait("validate and to publish")
@click.option(
    "--notes", metavar="TEXT|@FILE", callback=_notes, default="", help="Release notes: what is new in this version.",
)  # fmt: skip
@options.common
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
    """Publish the draft of a Dandiset as a version with a DOI, then mirror it.  Nobody can undo this.

    First `publish` names everything that prevents publication, each with what to do about it.  At the end it prints
    the citation.

    \b
    Examples:
      dandi-mirror publish 000123 -n               show whether it could be published now
      dandi-mirror publish 000123 --notes 'Adds the recordings of mouse 7'
    """
    end_by_signals(f"to see whether the archive has published it: dandi-mirror status {dandiset}")
    from dandi_mirror.errors import UsageError
    from dandi_mirror.mirror.state.layout import Mirror, mirror_of
    from dandi_mirror.workflows.owner.publish import publication

    name = naming.read_name(dandiset)
    (identifier,) = naming.dandisets([name])
    clone = current_clone.clone_around(mirror_path, [name])
    settings = naming.settings_for(mirror_path, [name], "", clone, asks_mirrors=not clone, instance=instance)
    mirror = mirror_of(clone.folder, identifier) if clone else Mirror(mirror_path.absolute())
    with publication(settings, mirror, name, identifier) as draft:
        with progress.show_steps(output) as (doing, _):
            entry, reasons = draft.check(wait, doing)
        _print_reasons(identifier, reasons, output)
        if reasons or dry_run:
            return _end_unpublished(identifier, None if reasons else entry, output)
        if not yes and not terminal.is_interactive():
            raise UsageError(
                "nobody can undo a publication, and without a terminal nobody can confirm it; type: dandi-mirror "
                f"publish {identifier} --yes"
            )
        if not yes:
            question = f"publish {identifier} ({draft_line(entry)})? Nobody can undo it"
            terminal.confirm(question, f"{identifier} was not published")
        with progress.show_steps(output) as (doing, _):
            version, report = draft.publish(entry, wait, notes, doing)
    return _print(draft, version, report, output)


def _print_reasons(identifier: str, reasons: list[str], form: str) -> None:
    for reason in reasons:
        if form == "json":
            output.print_json({"action": "publish", "status": "impossible", "dandiset": identifier, "message": reason})
        else:
            output.say(f"{identifier} cannot be published: {printable(reason)}", err=True)


def _end_unpublished(identifier: str, entry: ListedDandiset | None, form: str) -> int:
    """End a run that publishes nothing; ``entry`` is given if the Dandiset could be published."""
    code = 0 if entry else 3
    if form == "json":
        if entry:
            output.print_json({"action": "publish", "status": "ok", "dandiset": identifier, "dry_run": True})
        output.print_summary(code)
    elif entry:
        output.say(f"{identifier} could be published now: {draft_line(entry)}")
    return code


def _print(draft: Publication, version: str, report: Report, form: str) -> int:
    """Print the citation, or why the mirror does not have the version."""
    identifier, text = draft.dandiset, draft.citation(version)
    if form == "json":
        facts = {"action": "publish", "status": "ok", "dandiset": identifier, "version": version, "citation": text}
        place = {"path": str(draft.mirror.dataset(identifier).path), "type": "dataset"}
        output.print_json({**facts, **place, "message": report.message})
        output.print_summary(report.exit_code)
        return report.exit_code
    output.say(f"{identifier}@{version} is published and mirrored" if text else f"{identifier}@{version} is published")
    if text:
        output.say(text.rstrip("\n"))
    if report.exit_code:
        output.say(output.report_line(report, False), err=True)
        for line in output.finding_lines(report.findings):
            output.say(line, err=True)
    return report.exit_code
