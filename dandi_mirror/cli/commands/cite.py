"""``dandi-mirror cite``: print the citation of a version."""

from __future__ import annotations

import re
from pathlib import Path

import click

from dandi_mirror.cli import options
from dandi_mirror.workflows.access import mirror_archive
from dandi_mirror.workflows.names import naming

_COMMIT = re.compile(r"(.+)@([0-9a-f]{7,40})")


@click.command("cite")
@click.argument("version", metavar="ID@VERSION", shell_complete=options.complete_versions)
@click.option(
    "-f", "--format", "form", type=click.Choice(["text", "bibtex", "ris", "cff"]), default="text", show_default=True,
    help="Print text, BibTeX, RIS, or a CITATION.cff file.",
)  # fmt: skip
@options.mirror
@options.log_level
def command(version: str, form: str, mirror_path: Path) -> None:
    """Print the citation of a published version, from the mirror or a clone; it asks no archive.

    The citation has the DOI, and the commit of the version's tag, which is the same in every mirror.  Of a draft it has
    the commit that this mirror made of it: a draft that holds Zarrs cannot be published.  Zarrs are named by the
    checksums of their states, the first ten of many.

    \b
    Examples:
      dandi-mirror cite 000004@0.220126.1852 -d dandi
      dandi-mirror cite 000004@0.220126.1852 -d dandi -f bibtex
      dandi-mirror cite 000108@draft -d dandi                    what the draft holds now
      dandi-mirror cite 000108@3f2a91c -d dandi                  what it held at that commit
    """
    from dandi_mirror.errors import UsageError
    from dandi_mirror.mirror.locate.versions import dataset_of
    from dandi_mirror.workflows.reading.cite import citation
    from dandi_mirror.workflows.terminal import say

    found = _COMMIT.fullmatch(version)
    named = naming.read_name(found[1] if found else version, offline=True, mirror_path=mirror_path)
    if not named.dandiset:
        raise UsageError(f"{version} does not name a Dandiset; write its id, an @ and the version")
    mirror_archive.check_names(mirror_path, [named])
    dataset = dataset_of(mirror_path.absolute(), named.dandiset)
    wanted = found[2] if found else named.version or ""
    say(citation(dataset, named.dandiset, wanted).form(form).rstrip("\n"))
