"""``dandi-mirror export``: a version in formats of others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dandi_mirror.cli import options, output
from dandi_mirror.cli.exit import end_by_signals
from dandi_mirror.export import FORMS
from dandi_mirror.text import counted, human_size, printable

if TYPE_CHECKING:
    from dandi_mirror.workflows.export.export import Exported

SHOWN = 10
"""How many files that are left out are named; the others are counted."""


@click.command("export")
@click.argument("version", metavar="ID[@VERSION]", shell_complete=options.complete_versions)
@click.option("--as", "form", type=click.Choice(list(FORMS)), required=True, help="The format.")
@click.option(
    "-o", "--output", "place", metavar="NAME",
    help="The file, or the folder of a bag; '-' is the standard output.  [default: ID-VERSION and an ending]",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists; a bag never replaces anything.")
@click.option("--payload", is_flag=True, help="Bring all files into the bag, instead of a list of their URLs.")
@options.connections()
@options.common
def command(
    version: str,
    form: str,
    place: str | None,
    overwrite: bool,
    payload: bool,
    jobs: int,
    mirror_path: Path,
    instance: str | None,
    output: str,
) -> int:
    """Describe a version in a format of others, from the mirror or the clone; it asks no archive.

    \b
    ro-crate    RO-Crate 1.2: people, license, files and where they are, for repositories and registries
    croissant   Croissant 1.0: the same for loaders of machine learning
    metalink    Metalink: for download programs; each file with its checksum, S3, and all mirrors that have it
    bagit       BagIt 1.0: for preservation, a folder with fetch.txt, which lists the URLs; --payload brings the files

    Without a version, it takes the newest published one, else the draft.  Zarrs have no SHA-256: Croissant and BagIt
    leave them out.  Whatever is left out is named, and the exit code is 3.  Of an embargoed Dandiset there are the
    URLs of the API alone, which ask for an API key.

    \b
    Examples:
      dandi-mirror export 000004@0.220126.1852 --as metalink -d dandi
      aria2c -M 000004-0.220126.1852.meta4                               brings all files, verified
      dandi-mirror export 000004 --as ro-crate -d dandi -o x.json
      dandi-mirror export . --as bagit --payload -o /archive/000004      in a clone
    """
    end_by_signals()
    from dandi_mirror.cli.file_results import FileResults
    from dandi_mirror.errors import UsageError
    from dandi_mirror.workflows.export.bag import export_bag
    from dandi_mirror.workflows.export.export import export_file, place_for
    from dandi_mirror.workflows.export.source import find_version
    from dandi_mirror.workflows.names import naming

    if payload and form != "bagit":
        raise UsageError("--payload is for a bag only: --as bagit")
    if place == "-" and (form == "bagit" or output == "json"):
        raise UsageError("a bag is a folder; name it: -o DIR" if form == "bagit" else "-o - prints the export alone")
    name, folder = naming.read_place(version, offline=True, mirror_path=mirror_path)
    source = find_version(name, mirror_path.absolute(), folder, instance)
    if place == "-":
        return _end(export_file(source, form, None), form, output)
    path = place_for(source, form, Path(place) if place else None, overwrite=overwrite)
    if form != "bagit":
        return _end(export_file(source, form, path), form, output)
    results = FileResults("export", ("exported", "export"), output, False)
    return _end(export_bag(source, path, results, payload=payload, jobs=jobs), form, output)


def _end(done: Exported, form: str, output_form: str) -> int:
    """Print what was written and what was left out; return the exit code."""
    from dandi_mirror.errors import PartError

    code = PartError.exit_code if done.left_out else 0
    if output_form == "json":
        facts = {"dandiset": done.dandiset, "version": done.version, "format": form, "files": done.files}
        left = [{"path": one.path, "reason": one.reason} for one in done.left_out]
        record = {"action": "export", "path": str(done.path), "type": "directory" if form == "bagit" else "file"}
        output.print_json(record | {"status": "ok", "message": "", **facts, "size": done.size, "left_out": left})
        output.print_summary(code)
        return code
    for one in done.left_out[:SHOWN]:
        output.say(f"left out: {printable(one.path)}: {printable(one.reason)}", err=True)
    if len(done.left_out) > SHOWN:
        output.say(f"… and {len(done.left_out) - SHOWN:,} more (-f json names all)", err=True)
    if done.path:
        output.say(f"{done.path}: {counted(done.files, 'file')}, {human_size(done.size)}")
    return code
