"""``dandi-mirror search``: find Dandisets and files."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dandi_mirror.cli import options, output, progress
from dandi_mirror.text import human_size, printable
from dandi_mirror.workflows.terminal import say

if TYPE_CHECKING:
    import sqlite3

    from dandi_mirror.mirror.search.query import Term
    from dandi_mirror.mirror.search.search import FoundDandiset, FoundFile, SearchResult

_LIMIT, _FILES = 10, 5


IN_A_CLONE = "to find files here: git annex find --metadata subject=NAME; dandi-mirror ls ."
"""What finds files in a clone."""


@click.command("search")
@click.argument("query", metavar="[QUERY]...", nargs=-1, shell_complete=options.complete_operators)
@click.option("--old", is_flag=True, help="Search files of older versions, too.")
@click.option(
    "--limit", type=click.IntRange(1), default=_LIMIT, show_default=True, metavar="N", help="Show at most N Dandisets."
)
@click.option(
    "--files",
    type=click.IntRange(0),
    default=_FILES,
    show_default=True,
    metavar="N",
    help="Show at most N files of each Dandiset.",
)
@options.mirror
@options.output
@options.log_level
def command(query: tuple[str, ...], old: bool, limit: int, files: int, mirror_path: Path, output: str) -> int:
    """Find Dandisets and files in the mirror, each with the command that gets it; it asks no archive.

    Every word must be in the path or the metadata of a file, or in the record of its Dandiset.  A word also finds
    longer words that begin with it; '"spike sorting"' keeps words together.  Without QUERY, `search` only brings its
    index up to date.

    \b
    species: sex: age: subject: session: approach: technique: variable: path:     of the file
    file_type:nwb|image|text|video|zarr or the beginning of a MIME type                of the file
    dandiset: name: keyword: contributor: description:                            of its Dandiset
    created_after: created_before: modified_… published_…, such as 2024-01-31     of its Dandiset

    \b
    Examples:
      dandi-mirror search hippocampus species:human -d dandi
      dandi-mirror search name:units created_after:2024-01-31 -d dandi
    """
    from dandi_mirror.mirror.search.query import parse_query
    from dandi_mirror.mirror.search.search import search, suggestions

    terms = parse_query(query) if query else []
    with index(mirror_path) as database:
        if not terms:
            return 0
        answer = search(database, terms, old=old, most=limit, most_files=files)
        missing = {} if answer.found else suggestions(database, terms)
    if output == "json":
        _print_json(answer, missing, mirror_path)
    else:
        _print(answer, mirror_path)
        if not answer.found:
            say(_nothing(terms, missing), err=True)
    return 0


@contextmanager
def index(mirror_path: Path, instead: str = IN_A_CLONE) -> Iterator[sqlite3.Connection]:
    """Open the search index of a mirror, after bringing it up to date; ``instead`` is what to type in a clone.

    Raises:
        UsageError: the mirror holds no Dandiset.
        DiskError: there is no index, and it cannot be made.
    """
    from dandi_mirror.mirror.search.index import opened, path_of
    from dandi_mirror.mirror.state.layout import Mirror
    from dandi_mirror.workflows.access.current_clone import no_dandiset
    from dandi_mirror.workflows.reading.search_index import refreshed

    mirror = Mirror(mirror_path.absolute())
    if not mirror.dandisets():
        raise no_dandiset(mirror_path, instead)
    if progress.is_shown("text"):
        with progress.live() as shown:
            lacking = refreshed(mirror, shown.doing)
    else:
        lacking = refreshed(mirror, lambda dandiset, doing: None)
    if lacking:
        output.say(printable(lacking), err=True)
    with opened(path_of(mirror)) as database:
        yield database


def get_command(dandiset: str, version: str, path: str, mirror_path: Path) -> str:
    """Return what to type to get a file, or all of a version."""
    place = [] if mirror_path == Path() else ["-d", str(mirror_path)]
    return shlex.join(["dandi-mirror", "get", f"{dandiset}@{version}", *([path] if path else []), *place])


def _print(answer: SearchResult, mirror_path: Path) -> None:
    for found in answer.found:
        size = f"{found.files:,} file{'' if found.files == 1 else 's'}, {human_size(found.size)}"
        output.say(f"{found.dandiset}  {printable(found.name)}  ({size})")
        for hit in found.hits:
            line = get_command(found.dandiset, hit.version, printable(hit.path), mirror_path)
            output.say(f"  {line}  # {human_size(hit.size)}{', Zarr' if hit.zarr else ''}")
        if not found.files:
            output.say(f"  {get_command(found.dandiset, found.version, '', mirror_path)}")
        elif found.files > len(found.hits):
            output.say(f"  … and {found.files - len(found.hits):,} more files (--files {found.files})")
    if answer.dandisets > len(answer.found):
        more = answer.dandisets - len(answer.found)
        output.say(f"… and {more:,} more Dandisets (--limit {answer.dandisets})")


def _print_json(answer: SearchResult, missing: dict[str, list[str]], mirror_path: Path) -> None:
    for found in answer.found:
        output.print_json(_record(found, None, mirror_path))
        for hit in found.hits:
            output.print_json(_record(found, hit, mirror_path))
    output.print_summary(dandisets=answer.dandisets, files=answer.files, bytes=answer.size, did_you_mean=missing)


def _record(found: FoundDandiset, hit: FoundFile | None, mirror_path: Path) -> dict[str, Any]:
    folder = mirror_path.absolute() / found.dandiset
    place = {"path": str(folder), "type": "dataset", "refds": str(mirror_path.absolute())}
    facts: dict[str, Any] = {"dandiset": found.dandiset, "version": found.version}
    path = ""
    if hit:
        place = {"path": str(folder / hit.path), "type": "file", "refds": str(folder)}
        facts |= {key: value for key, value in asdict(hit).items() if key != "path"} | {"file": hit.path}
        path = hit.path
    else:
        facts |= {"name": found.name, "files": found.files, "size": found.size}
    facts["command"] = get_command(found.dandiset, facts["version"], path, mirror_path)
    return {"action": "search", **place, "status": "ok", "message": "", **facts}


def _nothing(terms: list[Term], missing: dict[str, list[str]]) -> str:
    """Say why nothing was found, as far as the index shows it."""
    if not missing:
        return "nothing has all of these together" if len(terms) > 1 else "nothing has this"
    words = [
        f"{printable(word)!r}" + (f" (did you mean {' or '.join(names)}?)" if names else "")
        for word, names in missing.items()
    ]
    return f"nothing has {', '.join(words)}"
