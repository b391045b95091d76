"""``dandi-mirror create``: register a new Dandiset."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dandi_mirror.cli import options, output, progress
from dandi_mirror.text import printable
from dandi_mirror.workflows import terminal
from dandi_mirror.workflows.access import tokens
from dandi_mirror.workflows.names import naming

if TYPE_CHECKING:
    from dandi_mirror.archive.api.client import ArchiveClient
    from dandi_mirror.mirror.state.layout import Mirror
    from dandi_mirror.model import Report
    from dandi_mirror.workflows.owner.new_dandiset import NewDandiset

LICENSES = {"CC-BY-4.0": "spdx:CC-BY-4.0", "CC0-1.0": "spdx:CC0-1.0"}
"""The licenses that DANDI accepts."""


@click.command("create")
@click.option("--name", metavar="TITLE", help="The title of the Dandiset; it needs one.")
@click.option("--description", metavar="TEXT", help="What it holds, for people who look for data.")
@click.option(
    "--license",
    "licenses",
    type=click.Choice(list(LICENSES)),
    multiple=True,
    help="The license of the data; may be repeated.",
)
@click.option(
    "--contributor", "contributors", metavar="'LAST, FIRST <EMAIL>'", multiple=True,
    help="An author, and a contact if there is an email address; may be repeated.  [default: you]",
)  # fmt: skip
@click.option("--embargo", is_flag=True, help="Let only its owners see it, until they open it.")
@click.option("--embargo-until", "until", metavar="DATE", help="The same, and when the embargo should end: 2028-01-31.")
@click.option("--funder", metavar="NAME", help="Who pays for it, such as 'National Institutes of Health'.")
@click.option("--award", metavar="NUMBER", help="The number of the funder's award, such as '1 R01 CA 123456-01A1'.")
@click.option(
    "--set", "assignments", metavar="FIELD=VALUE", multiple=True,
    help="Set any other field; VALUE is YAML.  May be repeated.",
)  # fmt: skip
@click.option(
    "--from", "file", metavar="FILE", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Begin with the fields of a dandiset.yaml, or with the record of a DOI or an ORCID (JSON).",
)  # fmt: skip
@click.option("--yes", is_flag=True, help="Register it even if you own one with the same title.")
@options.dry_run
@options.common
def command(
    name: str | None,
    description: str | None,
    licenses: tuple[str, ...],
    contributors: tuple[str, ...],
    embargo: bool,
    until: str | None,
    funder: str | None,
    award: str | None,
    assignments: tuple[str, ...],
    file: Path | None,
    yes: bool,
    dry_run: bool,
    mirror_path: Path,
    instance: str | None,
    output: str,
) -> int:
    """Register a new Dandiset with the archive, and make its dataset in the mirror.

    Prints its id.  You become its owner.  `create` checks all that you say by the archive's schema before it sends
    anything.  Before you publish it, it needs a license and a description, which you can also add later, with `edit`
    or on its page.  If you own one with the same title, perhaps of a run that was interrupted, `create` asks.

    \b
    Examples:
      dandi-mirror create --name 'Units of mouse 7' --license CC-BY-4.0 -d dandi
      dandi-mirror create --name 'Units of mouse 8' --embargo-until 2028-01-31 --funder NIH --award '1 R01 CA 123456-01'
      dandi-mirror create --from 000123/dandiset.yaml --name 'Units of mouse 9' -n
    """
    from dandi_mirror.archive.api.client import ArchiveClient
    from dandi_mirror.mirror.state.layout import Mirror
    from dandi_mirror.workflows.owner.new_dandiset import complete_dandiset, errors_of, register_dandiset

    said = {"name": name, "description": description, "license": [LICENSES[one] for one in licenses]}
    record = _record(said, contributors, assignments, file)
    new = _new(record, embargo=embargo or bool(until), until=until, funder=funder, award=award)
    settings = naming.settings_for(mirror_path, [], asks_mirrors=True, instance=instance)
    mirror = Mirror(mirror_path.absolute())
    with closing(tokens.session(settings, tokens.needed(settings.instance))) as session:
        archive = ArchiveClient(session)
        # before anything is registered: the folder must be able to be a mirror
        mirror.check_archive(str(archive.instance.dataset_id()))
        mirror.check_disk()
        if (errors := errors_of(archive, new)) or dry_run:
            return _end_unsent(new, errors, output)
        _check_title(archive, new, another=yes)
        entry = register_dandiset(archive, new)
        with progress.show_steps(output) as (doing, _):
            report = complete_dandiset(archive, mirror, settings, new, entry, doing)
    _print(report, mirror, new.embargo, output)
    if new.embargo and not settings.embargoed and output == "text":
        _say_how_to_sync(report.dandiset, mirror)
    return report.exit_code


def _say_how_to_sync(dandiset: str, mirror: Mirror) -> None:
    """Say what a later sync needs: by itself it skips embargoed Dandisets."""
    from dandi_mirror.config import FILE
    from dandi_mirror.mirror.state.options import to_sync_embargoed

    how = to_sync_embargoed(dandiset, str(mirror.path / FILE))
    output.say(f"a sync skips embargoed Dandisets; to sync this one: {how}", err=True)


def _record(
    said: Mapping[str, object], contributors: tuple[str, ...], assignments: tuple[str, ...], file: Path | None
) -> dict[str, object]:
    """Collect the fields of the record: of a file, then the options, then what is set."""
    from dandi_mirror.upload.record.fields import assign, read_assignment, written
    from dandi_mirror.upload.record.from_file import with_file
    from dandi_mirror.upload.record.yaml_text import LONGEST
    from dandi_mirror.workflows.names.named_text import named_text

    wanted = [read_assignment(text) for text in assignments]
    record = written(with_file({}, named_text(file, LONGEST), str(file))) if file else {}
    record |= {field: value for field, value in said.items() if value}
    if contributors:
        record["contributor"] = _people(contributors)
    return assign(record, wanted)


def _new(
    record: dict[str, object], *, embargo: bool, until: str | None, funder: str | None, award: str | None
) -> NewDandiset:
    """Check what no schema can.

    Raises:
        UsageError: there is no title, an award without a funder, or an end of the embargo that is no day to come.
    """
    from dandi_mirror.errors import UsageError
    from dandi_mirror.workflows.owner.new_dandiset import NewDandiset

    name = record.pop("name", "")
    if not isinstance(name, str) or not name.strip():
        raise UsageError("a Dandiset needs a title: --name TITLE")
    if award and not funder:
        raise UsageError("an award needs its funder: --funder NAME")
    if until:
        try:
            day = date.fromisoformat(until)
        except ValueError:
            raise UsageError(f"--embargo-until {until}: write a day as 2028-01-31") from None
        if day <= datetime.now(UTC).date():
            raise UsageError(f"--embargo-until {until}: that day is not in the future")
        until = day.isoformat()
    return NewDandiset(name.strip(), record, embargo, until or "", (funder or "").strip(), (award or "").strip())


def _check_title(archive: ArchiveClient, new: NewDandiset, *, another: bool) -> None:
    """Ask before a second Dandiset of the same title, or say that there is one if ``another`` was asked for.

    Raises:
        UsageError: there is one, and no terminal to ask at.
        PartError: the person does not want a second one.
    """
    from dandi_mirror.errors import UsageError
    from dandi_mirror.workflows.owner.new_dandiset import how_to_complete, namesakes

    if not (there := namesakes(archive, new)):
        return
    said = f"you own {', '.join(entry.identifier for entry in there)} with this title already"
    if another:
        terminal.say(f"{said}; another one is registered", err=True)
        return
    said = f"{said}; {how_to_complete(archive, new, there[-1])}"
    if not terminal.is_interactive():
        raise UsageError(f"{said}; to register another one all the same, use --yes")
    terminal.confirm(f"{said}; register another one?", "nothing was registered")


def _end_unsent(new: NewDandiset, errors: list[str], form: str) -> int:
    """Print what would be registered, or why it cannot be; return the exit code."""
    code = 3 if errors else 0
    fields = {"name": new.name, **new.metadata} | ({"funder": new.funding} if new.funding else {})
    if form == "json":
        said = "the archive's schema does not allow this" if errors else ""
        facts = {"action": "create", "status": "error" if errors else "ok", "message": said, "dry_run": True}
        output.print_json(facts | {"errors": errors, "fields": fields, **new.query})
        output.print_summary(code)
        return code
    for error in errors:
        output.say(f"nothing was registered: {error}", err=True)
    if not errors:
        for field, value in {**fields, **new.query}.items():
            output.say(printable(f"{field}: {value}"))
        output.say("(nothing was sent: --dry-run)", err=True)
    return code


def _people(contributors: tuple[str, ...]) -> list[dict[str, object]]:
    """Convert contributors to the form of the archive's records.

    Raises:
        UsageError: one cannot be read, or none has an address.
    """
    from dandi_mirror.errors import UsageError

    people: list[dict[str, object]] = []
    for text in contributors:
        found = re.fullmatch(r"\s*([^,<>]+,[^,<>]+?)\s*(?:<([^<>\s]+@[^<>\s]+)>)?\s*", text)
        if not found:
            raise UsageError(f"{text!r}: write a contributor as 'Last, First' or 'Last, First <last@example.org>'")
        person: dict[str, object] = {"schemaKey": "Person", "name": found[1], "roleName": ["dcite:Author"]}
        if found[2]:
            person |= {"email": found[2], "roleName": ["dcite:Author", "dcite:ContactPerson"]}
        people.append(person | {"includeInCitation": True, "affiliation": []})
    if not any("email" in person for person in people):
        raise UsageError("one of the contributors needs an email address: write 'Last, First <last@example.org>'")
    return people


def _print(report: Report, mirror: Mirror, embargo: bool, form: str) -> None:
    """Print where the Dandiset is, or why it has no complete dataset."""
    folder = mirror.folder(report.dandiset)
    reasons = [report.message] if report.message else [finding.reason for finding in report.findings]
    if form == "json":
        facts = {"action": "create", "status": "ok", "type": "dataset", "path": folder, "refds": str(mirror.path)}
        more = {"dandiset": report.dandiset, "embargo": embargo, "message": "; ".join(reasons)}
        output.print_json(facts | more)
        output.print_summary(report.exit_code)
        return
    output.say(f"{report.dandiset}  {'under embargo, ' if embargo else ''}in {folder}")
    if report.exit_code:
        output.say(printable(f"{'; '.join(reasons)}; run dandi-mirror sync {report.dandiset}"), err=True)
