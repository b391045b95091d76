"""``dandi-mirror which``: find where bytes are in the mirror."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dandi_mirror.cli import options

if TYPE_CHECKING:
    from dandi_mirror.mirror.search.which import ContentIdentifier, Occurrence


_IN_A_CLONE = (
    "to find the files here of which you know the SHA-256:"
    " git annex find --include='*' --format='${file} ${key}\\n' | grep -i DIGEST"
)


@click.command("which")
@click.argument("content", metavar="FILE|ZARR|DIGEST|ASSET-ID|BLOB-URL", type=click.Path())
@options.mirror
@options.output
@options.log_level
def command(content: str, mirror_path: Path, output: str) -> int:
    """Show where some bytes are: in which versions of which mirrored Dandisets, and at which paths.

    \b
    FILE        any file; if git-annex has it, its content need not be here
    ZARR        the folder of a Zarr, found by its checksum; not a single chunk
    DIGEST      a SHA-256, a git-annex key, or the checksum of a Zarr
    ASSET-ID    or its URL at the API of the archive
    BLOB-URL    its URL in S3

    Exits with 3 if no version holds them.  `which` sends no request to the archive.

    \b
    Examples:
      dandi-mirror which recording.nwb -d dandi
      dandi-mirror which brain.ome.zarr -d dandi
    """
    from dandi_mirror.cli.commands.search import index
    from dandi_mirror.cli.output import print_json, print_summary
    from dandi_mirror.errors import NotFoundError
    from dandi_mirror.mirror.search.which import occurrences
    from dandi_mirror.mirror.state.layout import Mirror
    from dandi_mirror.text import human_size, printable
    from dandi_mirror.workflows.reading.which import identify
    from dandi_mirror.workflows.terminal import say

    what = identify(content)
    with index(mirror_path, _IN_A_CLONE) as database:
        found = occurrences(database, Mirror(mirror_path.absolute()), what)
    for place in found:
        if output == "json":
            print_json(_record(place, mirror_path))
        else:
            size = human_size(place.size)
            versions = " ".join(place.versions) or f"an older state of the draft: @{place.checksum}"
            say(f"{place.dandiset}  {printable(place.path)}  ({size})  {versions}")
    why = "" if found else f"no version of a mirrored Dandiset holds {printable(content)}{_known(what, content)}"
    if output == "text" and why:
        raise NotFoundError(why)
    code = NotFoundError.exit_code if why else 0
    if output == "json":
        if why:
            where = {"action": "which", "path": content, "type": "file", "refds": str(mirror_path.absolute())}
            digests = {"sha256": what.sha256, "checksum": what.checksum}
            print_json({**where, "status": "impossible", "message": why, **digests, "versions": []})
        print_summary(code, places=len(found))
    return code


def _known(what: ContentIdentifier, typed: str) -> str:
    """The digest that was looked for, unless it is what somebody typed."""
    if what.checksum and what.checksum != typed:
        return f" (checksum {what.checksum})"
    return f" (SHA-256 {what.sha256})" if what.sha256 and what.sha256 != typed else ""


def _record(place: Occurrence, mirror_path: Path) -> dict[str, Any]:
    """What ``-f json`` tells about a place."""
    from dandi_mirror.cli.commands.search import get_command

    folder = mirror_path.absolute() / place.dandiset
    where = {"action": "which", "path": str(folder / place.path), "type": "file", "refds": str(folder)}
    facts = {key: value for key, value in asdict(place).items() if key != "path"} | {"file": place.path}
    command = get_command(place.dandiset, place.version, place.path, mirror_path)
    if place.zarr and not place.versions:
        name = f"{place.dandiset}@draft/{place.path}@{place.checksum}"
        command = shlex.join(["dandi-mirror", "download", name, "-d", str(mirror_path)])
    return where | {"status": "ok", "message": "", **facts, "command": command}
