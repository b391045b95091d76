"""``dandi-mirror ls``: list the files of a version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dandi_mirror.cli import options, output
from dandi_mirror.text import human_size, printable
from dandi_mirror.workflows import naming, tokens

if TYPE_CHECKING:
    from dandi_mirror.mirror.contents.files import Contents
    from dandi_mirror.mirror.contents.folders import FolderEntry
    from dandi_mirror.mirror.state.layout import Mirror

SHOWN_SUBJECTS = 3
"""How many subjects of a folder are named."""


@click.command("ls")
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=options.complete_versions)
@click.option("-r", "--recursive", is_flag=True, help="List every file, not one level of folders.")
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

    \b
    Examples:
      dandi-mirror ls 000004                               the top of the newest version
      dandi-mirror ls 000004@0.220126.1852/sub-P10HMH      a folder or a file of a version
      dandi-mirror ls sub-P10HMH                           the same in a clone
      dandi-mirror ls . -d dandi                           the Dandisets of a mirror
    """
    from dandi_mirror.errors import MirrorError, exit_code
    from dandi_mirror.mirror.locate.clones import clone_at
    from dandi_mirror.mirror.state.layout import mirror_at

    codes, records = set(), list[dict[str, Any]]()
    for text in names:
        # with -d, it is that mirror, not the current folder
        if mirror := mirror_at(str(mirror_path) if text == "." and not clone_at(".") else text):
            records += _mirrored(mirror, form)
            continue
        try:
            found, rows, api_url = _look(text, mirror_path.absolute(), recursive, instance)
        except MirrorError as error:
            if len(names) == 1:
                raise
            codes.add(error.exit_code)
            output.say(f"dandi-mirror: {printable(str(error))}", err=True)
            records.append({"action": "ls", "path": text, "status": "error", "message": str(error)})
            continue
        urls = _links(found, rows, api_url) if links else {}
        records += _records(found, rows, urls)
        if form == "text":
            _print(found, rows, urls, recursive or links)
    code = exit_code(codes)
    if form != "text":
        records.append({"action": "summary", "status": "ok" if code == 0 else "error", "exit_code": code})
        _print_json(records, form)
    return code


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
        draft = draft_of(memory[dandiset].row if dandiset in memory else "")
        if form == "text":
            known = f"{draft.asset_count:>9,} files  {printable(draft.name)[:70]}" if draft.name else ""
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


def _look(text: str, path: Path, recursive: bool, instance: str | None) -> tuple[Contents, list[FolderEntry], str]:
    """Find what a name means: the version, its list entries, and the URL of the archive's API."""
    from dataclasses import replace

    from dandi_mirror.archive.instances import api_url
    from dandi_mirror.mirror.contents.folders import file_entries, folder_entries
    from dandi_mirror.mirror.contents.local import local_contents
    from dandi_mirror.mirror.contents.remote import remote_contents

    name, folder = naming.read_place(text, mirror_path=path)
    settings = naming.settings_for(path, [name], naming.api_here(name, path, folder), instance=instance)
    here = replace(name, instance=name.instance or instance)
    found = local_contents(here, path, folder)
    if not found:
        found = naming.known(
            name,
            path,
            lambda: tokens.asked(settings.instance, name.instance, lambda there: remote_contents(name, there)),
        )
    rows = file_entries(found.files) if recursive else folder_entries(name, found.files)
    return found, rows, api_url(settings.instance)


def _links(found: Contents, rows: Iterable[FolderEntry], api_url: str) -> dict[str, dict[str, str]]:
    """Find the links of each listed file, by its path."""
    from dataclasses import replace

    from dandi_mirror.mirror.contents.links import links, urls

    files = [row.file for row in rows if row.file]
    where = urls(replace(found, files=files), api_url)
    return {file.path: links(file.path, file.size, where[file.path], found.dandiset, found.version) for file in files}


def _print(found: Contents, rows: list[FolderEntry], urls: dict[str, dict[str, str]], long: bool) -> None:
    from dandi_mirror.mirror.contents.folders import sum_of

    title = f"  {printable(found.title)[:70]}" if found.title else ""
    source = f"from {_folder(found)}" if found.dataset else "from the archive"
    output.say(f"{_version(found) or 'asset'}{title}  ({source})")
    form = "{:>10}  {:>9}  {:24}  {}"
    for row in rows:
        known = row.file is None or row.file.size is not None
        why = f"  [{row.file.state}]" if row.file and row.file.state else ""
        size = human_size(row.size) if known else "?"
        output.say(form.format(size, _here(row), _subjects(row), printable(row.path) + why))
        for of, url in urls.get(row.path, {}).items():
            output.say(f"{'':12}{of:12} {printable(url)}")
    every = sum_of(rows)
    people = f", {len(every.subjects):,} subject{'' if len(every.subjects) == 1 else 's'}" if every.subjects else ""
    here = f"; here: {every.here:,}, {human_size(every.here_size)}" if every.here else ""
    output.say(f"{every.files:,} file{'' if every.files == 1 else 's'}, {human_size(every.size)}{people}{here}")


def _here(row: FolderEntry) -> str:
    """Say how much of it is on this machine."""
    if row.file:
        return "here" if row.here else "-"
    return f"{row.here:,}/{row.files:,}" if row.here else "-"


def _subjects(row: FolderEntry) -> str:
    names = sorted(row.subjects)
    if len(names) > SHOWN_SUBJECTS:
        return f"{len(names):,} subjects"
    return printable(", ".join(names))[:24] or "-"


def _records(found: Contents, rows: Iterable[FolderEntry], urls: dict[str, dict[str, str]]) -> Iterator[dict[str, Any]]:
    for row in rows:
        facts: dict[str, Any] = {"files": row.files, "size": row.size, "here": row.here, "here_size": row.here_size}
        if file := row.file:
            facts = {"size": file.size, "here": file.here, "asset_id": file.asset_id, "sha256": file.sha256}
            facts |= {"key": file.key, "session": file.session, "state": file.state or "", "reason": file.reason}
            facts |= {"links": urls[row.path]} if urls else {}
        yield {
            "action": "ls",
            "path": str(_folder(found) / row.path) if found.dataset else "",
            "type": "file" if row.file else "directory",
            "refds": str(_folder(found)) if found.dataset else "",
            "status": "ok",
            "message": "",
            "dandiset": found.dandiset,
            "version": found.version,
            "source": "mirror" if found.dataset else "archive",
            "file": row.path,
            "subjects": sorted(row.subjects),
            **facts,
        }


def _version(found: Contents) -> str:
    return f"{found.dandiset}@{found.version}" if found.version else found.dandiset


def _folder(found: Contents) -> Path:
    assert found.dataset
    return found.dataset.path


def _print_json(records: list[dict[str, Any]], form: str) -> None:
    import json

    if form == "json-array":
        output.write(json.dumps(records, ensure_ascii=True, indent=1))
        return
    for record in records:
        output.print_json(record)
