"""``dandi-mirror edit``: change the record of a Dandiset."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dandi_mirror.cli import options, output
from dandi_mirror.workflows import terminal

if TYPE_CHECKING:
    from dandi_mirror.archive.api.dandiset_changes import DraftRecord
    from dandi_mirror.model import Report
    from dandi_mirror.workflows.owner.own_dandiset import OwnDandiset
    from dandi_mirror.workflows.owner.record_edit import RecordEdit

_HEAD = """\
# The record of Dandiset {}. Save the file and leave the editor to see what changes; leave without saving to stop.
# The archive writes the other fields (identifier, citation, assetsSummary, ...) itself.

"""


@click.command("edit")
@click.argument("dandiset", metavar="ID", shell_complete=options.complete_dandisets)
@click.option(
    "--set", "assignments", metavar="FIELD=VALUE", multiple=True,
    help="Set a field; VALUE is YAML, and without VALUE the field goes.  May be repeated.",
)  # fmt: skip
@click.option(
    "--from", "file", metavar="FILE", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Take all fields from a dandiset.yaml, or add the publication or person of a DOI or ORCID record (JSON).",
)  # fmt: skip
@click.option("--yes", is_flag=True, help="Send the change without asking for confirmation.")
@options.dry_run
@options.common
def command(
    dandiset: str,
    assignments: tuple[str, ...],
    file: Path | None,
    yes: bool,
    dry_run: bool,
    mirror_path: Path,
    instance: str | None,
    output: str,
) -> int:
    """Change what the archive says about a Dandiset: title, description, contributors, license, keywords and so on.

    Without --set and --from, your editor ($VISUAL, $EDITOR) opens with the fields.  `edit` checks them by the archive's
    schema, shows what changes, and asks before it sends anything.  It sends nothing if somebody else changed the record
    meanwhile.

    \b
    Examples:
      dandi-mirror edit 000123                                        open an editor
      dandi-mirror edit 000123 --set 'description=Units of mouse 7'
      dandi-mirror edit 000123 --set 'keywords=[mouse, hippocampus]' -n
      dandi-mirror edit 000123 --from paper.json                      the record of a DOI
    """
    from dandi_mirror.archive.api.dandiset_changes import draft_record
    from dandi_mirror.archive.instances import instance_name
    from dandi_mirror.errors import UsageError
    from dandi_mirror.upload.record.fields import assign, read_assignment
    from dandi_mirror.workflows.owner.own_dandiset import own_dandiset
    from dandi_mirror.workflows.owner.record_edit import record_edit, send_edit

    wanted = [read_assignment(text) for text in assignments]
    _check_can_ask(bool(wanted or file), yes or dry_run)
    with own_dandiset(dandiset, mirror_path, instance) as own:
        before = draft_record(own.archive.session, own.dandiset)
        if wanted or file:
            record = _with_file(own, before, file) if file else before.metadata
            edit = record_edit(own.archive, own.dandiset, before, assign(record, wanted))
            if wanted and edit.unknown:
                raise UsageError(f"{own.dandiset} was not changed: {'; '.join(edit.unknown)}")
        else:
            edit = _in_editor(own, before)
        _print_changes(edit, output)
        if edit.errors or edit.is_idle or dry_run:
            return _end_unsent(edit, dry_run, output)
        if not yes:
            called = instance_name(own.archive.instance.api_url)
            terminal.confirm(f"send this to {called}?", f"{own.dandiset} was not changed")
        send_edit(own.archive, edit)
        report = own.sync()
    return _end_sent(edit, report, output)


def _check_can_ask(told: bool, yes: bool) -> None:
    """Refuse a run without a terminal that would need one.

    Raises:
        UsageError: it would have to open an editor, or to ask for confirmation.
    """
    from dandi_mirror.errors import UsageError

    if terminal.is_interactive():
        return
    if not told:
        raise UsageError("without a terminal there is no editor; use --set FIELD=VALUE or --from FILE")
    if not yes:
        raise UsageError("without a terminal nobody can confirm the change; look at it with -n, then use --yes")


def _with_file(own: OwnDandiset, before: DraftRecord, file: Path) -> Mapping[str, object]:
    """The record with what a file says.

    Raises:
        PartError: it would take back what somebody else has changed since the last sync.
    """
    from dandi_mirror.upload.record.from_file import with_file
    from dandi_mirror.upload.record.yaml_text import LONGEST
    from dandi_mirror.workflows.names.named_text import named_text
    from dandi_mirror.workflows.owner.record_edit import refuse_stale

    record = with_file(before.metadata, named_text(file, LONGEST), str(file))
    refuse_stale(own, before, record)
    return record


def _in_editor(own: OwnDandiset, before: DraftRecord) -> RecordEdit:
    """Let the person edit the fields, again and again until they are right or the person gives up.

    Raises:
        PartError: the person saved nothing or gave up, or the editor failed; the message names the file that has the
            text.
    """
    from dandi_mirror.errors import MirrorError, PartError
    from dandi_mirror.upload.record.fields import replaced, written
    from dandi_mirror.upload.record.yaml_text import NotYaml, read_yaml, write_yaml
    from dandi_mirror.workflows.owner.record_edit import record_edit

    text = began = f"{_HEAD.format(own.dandiset)}{write_yaml(written(before.metadata))}"
    while True:
        text = _edited(text, own.dandiset, is_new=text is began)
        try:
            fields = read_yaml(text)
            if not isinstance(fields, dict):
                raise NotYaml("it has no fields")
            edit = record_edit(own.archive, own.dandiset, before, replaced(before.metadata, fields))
            wrong = "; ".join(edit.errors)
        except (NotYaml, MirrorError) as error:
            wrong = str(error)
        if not wrong:
            return edit
        terminal.say(f"this cannot be sent: {wrong}", err=True)
        kept = _keep(text.encode(), own.dandiset)
        nothing = _not_changed(own.dandiset, kept)
        if not terminal.agree("edit it again?", nothing, default=True):
            raise PartError(nothing)
        kept.unlink(missing_ok=True)


def _edited(text: str, dandiset: str, *, is_new: bool) -> str:
    """Open a text in the person's editor; ``is_new``: nobody has typed anything into it yet.

    Raises:
        PartError: the person saved nothing, or not as UTF-8; or the editor does not start, or reports that it failed.
    """
    from dandi_mirror.errors import PartError

    try:
        saved = click.edit(text.encode(), extension=".yaml")
    except (click.ClickException, OSError, ValueError) as error:
        why = error.format_message() if isinstance(error, click.ClickException) else str(error)
        nothing = f"{dandiset} was not changed" if is_new else _not_changed(dandiset, _keep(text.encode(), dandiset))
        raise PartError(
            f"your editor ended with an error ({why}); {nothing}; another editor: EDITOR=nano dandi-mirror edit "
            f"{dandiset}; or without one: --set FIELD=VALUE or --from FILE"
        ) from None
    if saved is None:
        raise PartError(f"you saved nothing; {dandiset} was not changed")
    try:
        return saved.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise PartError(f"the file is not UTF-8; {_not_changed(dandiset, _keep(saved, dandiset))}") from None


def _not_changed(dandiset: str, kept: Path) -> str:
    return f"{dandiset} was not changed; your text is in {kept}: dandi-mirror edit {dandiset} --from {kept}"


def _keep(text: bytes, dandiset: str) -> Path:
    """Write what somebody typed into a new file, so that it is not lost."""
    descriptor, name = tempfile.mkstemp(".yaml", f"{dandiset}-")
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)
    return Path(name)


def _print_changes(edit: RecordEdit, form: str) -> None:
    if form == "json":
        return
    for change in edit.changes:
        output.say(f"{edit.dandiset}  {change.name}")
        for sign, values in (("-", change.old), ("+", change.new)):
            for value in values:
                output.say(f"  {sign} {value}")


def _end_unsent(edit: RecordEdit, dry_run: bool, form: str) -> int:
    code, message = 0, "nothing would change" if edit.is_idle else ""
    if edit.errors:
        code, message = 3, "the archive's schema does not allow this"
    if form == "json":
        _print_json(edit, "error" if code else "notneeded" if edit.is_idle else "ok", code, message, dry_run=dry_run)
        return code
    for error in edit.errors:
        output.say(f"{edit.dandiset} was not changed: {error}", err=True)
    if edit.is_idle:
        output.say(f"{edit.dandiset}  nothing would change", err=True)
    elif not code:
        output.say("(nothing was sent: --dry-run)", err=True)
    return code


def _end_sent(edit: RecordEdit, report: Report | None, form: str) -> int:
    code = report.exit_code if report else 0
    if form == "json":
        _print_json(edit, "ok", code, report.message if report else "")
        return code
    output.say(f"{edit.dandiset}  the record was changed{' and mirrored' if report and not code else ''}", err=True)
    if report and code:
        output.say(output.report_line(report, False), err=True)
        for line in output.finding_lines(report.findings):
            output.say(line, err=True)
    return code


def _print_json(edit: RecordEdit, status: str, code: int, message: str, *, dry_run: bool = False) -> None:
    facts = {"action": "edit", "status": status, "dandiset": edit.dandiset, "message": message}
    more = {"fields": [change.facts() for change in edit.changes], "errors": list(edit.errors), "dry_run": dry_run}
    output.print_json(facts | more)
    output.print_summary(code)
