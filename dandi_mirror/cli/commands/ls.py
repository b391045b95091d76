"""``dandi-mirror ls``: list the files of a version."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dandi_mirror.cli import options, output
from dandi_mirror.cli.ls_output import Urls, print_table, records, version_words
from dandi_mirror.text import beginning, printable

if TYPE_CHECKING:
    from dandi_mirror.mirror.state.layout import Mirror
    from dandi_mirror.workflows.reading.listing import ListedFiles


@click.command("ls")
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=options.complete_versions)
@click.option("-r", "--recursive", is_flag=True, help="Show every file, and every entry of a Zarr, one by one.")
@click.option("--links", is_flag=True, help="Show where each file can be read and viewed: S3, API, viewers.")
@options.mirror
@options.instance
@click.option(
    "-f", "--format", "form", type=click.Choice(["text", "json", "json-array"]), default="text", show_default=True,
    help="Print a table, JSON Lines with DataLad's keys, or one JSON array of the same records.",
)  # fmt: skip
@options.log_level
def command(
    names: tuple[str, ...], recursive: bool, links: bool, mirror_path: Path, instance: str | None, form: str
) -> int:
    """List the files of a version: sizes, subjects, and which content is on this machine.

    `ls` reads the mirror or the clone if that has the version, else it asks the archive.  Without a version, it lists
    the newest published one, else the draft.  At the top of a mirror, or with -d, '.' lists the Dandisets of the
    mirror.  NAME may also be any link to a Dandiset or a file, such as
    https://dandiarchive.org/dandiset/000004/draft/files?location=sub-P10HMH

    A Zarr is one row.  A path in it, or -r, lists its entries from the mirror's manifest; behind the path of the Zarr,
    @CHECKSUM means an older state of it.

    \b
    Examples:
      dandi-mirror ls 000004                               the top of the newest version
      dandi-mirror ls 000004@0.220126.1852/sub-P10HMH      a folder or a file of a version
      dandi-mirror ls sub-P10HMH                           the same in a clone
      dandi-mirror ls 000108/sub-1/x.ome.zarr/0            what is in a folder of a Zarr
      dandi-mirror ls . -d dandi                           the Dandisets of a mirror
    """
    from dandi_mirror.errors import MirrorError, exit_code
    from dandi_mirror.mirror.locate.clones import clone_at
    from dandi_mirror.mirror.state.layout import mirror_at
    from dandi_mirror.workflows.reading.listing import list_files

    codes, collected = set[int](), list[dict[str, Any]]()
    emit = output.print_json if form == "json" else collected.append
    for text in names:
        # with -d, it is that mirror, not the current folder
        if mirror := mirror_at(str(mirror_path) if text == "." and not clone_at(".") else text):
            _each(_mirrored(mirror, form), emit)
            continue
        try:
            listing = list_files(text, mirror_path.absolute(), instance, recursive=recursive, urls=links)
        except MirrorError as error:
            if len(names) == 1:
                raise
            codes.add(error.exit_code)
            output.say(f"dandi-mirror: {printable(str(error))}", err=True)
            emit({"action": "ls", "path": text, "status": "error", "message": str(error)})
            continue
        _show(listing, form, emit, links=links)
        codes |= _remark(text, listing, mirror_path)
    code = exit_code(codes)
    if form != "text":
        emit({"action": "summary", "status": "ok" if code == 0 else "error", "exit_code": code})
    if form == "json-array":
        output.write_out(json.dumps(collected, ensure_ascii=True, indent=1))
    return code


def _each(records: Iterable[dict[str, Any]], emit: Callable[[dict[str, Any]], object]) -> None:
    for record in records:
        emit(record)


def _show(listing: ListedFiles, form: str, emit: Callable[[dict[str, Any]], object], *, links: bool) -> None:
    """Print what a name means, or give its records."""
    found = _links(listing) if links else {}
    urls: Urls = lambda file: found.get(file.path, {})  # noqa: E731
    if form == "text":
        print_table(listing.found, listing.entries, urls)
    else:
        _each(records(listing.found, listing.entries, urls), emit)


def _links(listing: ListedFiles) -> dict[str, dict[str, str]]:
    """Find the links of each listed file, by its path."""
    from dataclasses import replace

    from dandi_mirror.mirror.contents.links import links, urls

    found, listing.entries = listing.found, list(listing.entries)
    files = [entry.file for entry in listing.entries if entry.file]
    where = urls(replace(found, files=files), listing.hosts)
    return {file.path: links(file.path, file.size, where[file.path], found.dandiset, found.version) for file in files}


def _mirrored(mirror: Mirror, form: str) -> Iterator[dict[str, Any]]:
    """Give a record for each Dandiset of a mirror; for people, print a line for each."""
    from dandi_mirror.mirror.state.remembered import draft_of
    from dandi_mirror.model import is_version_id
    from dandi_mirror.repo.git.dataset import TAGS

    here, memory = set(mirror.dandisets()), mirror.index.read().dandisets
    for dandiset in sorted(here | set(mirror.registered())):
        # one that is a link to elsewhere is named, and nothing of it is read
        strange = mirror.is_strange(dandiset)
        refs = {} if strange else mirror.dataset(dandiset).refs_in_files("refs/tags")
        tags = [ref for ref in refs if is_version_id(ref.removeprefix(TAGS))]
        draft = draft_of(memory[dandiset].entry if dandiset in memory else "")
        if form == "text":
            known = f"{draft.asset_count:>9,} files  {beginning(printable(draft.name))}" if draft.name else ""
            there = f"{len(tags):>3} version{' ' if len(tags) == 1 else 's'}" if dandiset in here else "not installed"
            there = "not this mirror's own dataset; to see why: dandi-mirror status" if strange else there
            output.say(f"{dandiset}  {there}  {known}".rstrip())
        place = {"action": "ls", "path": str(mirror.path / dandiset), "type": "dataset", "refds": str(mirror.path)}
        facts = {
            "versions": len(tags),
            "name": draft.name,
            "files": draft.asset_count,
            "here": dandiset in here and not strange,
        }
        yield place | {"status": "ok", "message": "", "dandiset": dandiset} | facts


def _remark(text: str, listing: ListedFiles, mirror_path: Path) -> set[int]:
    """Say on stderr what a person would not expect of a listing; give the exit codes that follow from it."""
    from dandi_mirror.cli.change_output import unmade
    from dandi_mirror.errors import PartError
    from dandi_mirror.workflows.access.settings import is_named

    found = listing.found
    if not found.dataset and is_named(mirror_path) and not listing.remarks:
        output.say(f"{text} is not in {mirror_path}: this is what the archive has", err=True)
    for remark in listing.remarks:
        output.say(f"{text}: {printable(remark)}", err=True)
    number = sum(not file.by_sync for file in found.files)
    if number:
        output.say(f"{version_words(found)} has {unmade(number)}, marked as refused; no command uses them", err=True)
    return {PartError.exit_code} if number else set()
