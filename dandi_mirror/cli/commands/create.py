"""``dandi-mirror create``: register a new Dandiset."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dandi_mirror.cli import options, output
from dandi_mirror.text import printable
from dandi_mirror.workflows import naming, tokens

if TYPE_CHECKING:
    from dandi_mirror.mirror.state.layout import Mirror
    from dandi_mirror.model import Report

LICENSES = {"CC-BY-4.0": "spdx:CC-BY-4.0", "CC0-1.0": "spdx:CC0-1.0"}
"""The licenses that DANDI accepts."""


@click.command("create")
@click.option("--name", required=True, metavar="TITLE", help="The title of the Dandiset.")
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
@options.mirror
@options.instance
@options.output
@options.log_level
def command(
    name: str,
    description: str | None,
    licenses: tuple[str, ...],
    contributors: tuple[str, ...],
    embargo: bool,
    mirror_path: Path,
    instance: str | None,
    output: str,
) -> int:
    """Register a new Dandiset with the archive, and make its dataset in the mirror.

    Prints its id.  You become its owner.  Before you publish it, it needs a license and a description, which you can
    also add later on its page.

    \b
    Example:
      dandi-mirror create --name 'Units of mouse 7' --license CC-BY-4.0 -d dandi
    """
    from dandi_mirror.archive.api.client import Archive
    from dandi_mirror.archive.api.drafts import create_dandiset
    from dandi_mirror.mirror.state.layout import Mirror
    from dandi_mirror.mirror.state.options import Options
    from dandi_mirror.mirror.sync.dandiset import sync_dandiset

    metadata: dict[str, object] = {"description": description} if description else {}
    if licenses:
        metadata["license"] = [LICENSES[one] for one in licenses]
    if contributors:
        metadata["contributor"] = _people(contributors)
    settings, mirror = naming.settings_for(mirror_path, [], instance=instance), Mirror(mirror_path.absolute())
    with closing(tokens.session(settings, tokens.needed(settings.instance))) as session:
        archive = Archive(session)
        # before anything is registered: the folder must be able to be a mirror
        mirror.superdataset.check_is_ours(str(archive.instance.dataset_id()))
        row = create_dandiset(session, name, metadata, embargo=embargo)
        wanted = Options(versions=settings.versions, embargoed=True, hosts=frozenset(settings.content_hosts))
        report = sync_dandiset(archive, mirror, row.identifier, wanted, row)
    _print(report, mirror, embargo, output)
    return report.exit_code


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
