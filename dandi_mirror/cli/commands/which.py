"""``dandi-mirror which``: find where bytes are in the mirror."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from dandi_mirror.cli import options


@click.command("which")
@click.argument("content", metavar="FILE|SHA256|ASSET-ID|BLOB-URL", type=click.Path())
@options.mirror
@options.output
@options.log_level
def command(content: str, mirror_path: Path, output: str) -> int:
    """Show where some bytes are: in which versions of which mirrored Dandisets, and at which paths.

    \b
    FILE        any file; if git-annex has it, its content need not be here
    SHA256      or a git-annex key
    ASSET-ID    or its URL at the API of the archive
    BLOB-URL    its URL in S3

    Exits with 3 if no version holds them.  The archive is not asked.

    \b
    Example:
      dandi-mirror which recording.nwb -d dandi
    """
    from dandi_mirror.cli.commands.search import get_command, index
    from dandi_mirror.cli.output import print_json, print_summary
    from dandi_mirror.errors import NotFoundError
    from dandi_mirror.mirror.search.which import identify, occurrences
    from dandi_mirror.mirror.state.layout import Mirror
    from dandi_mirror.text import human_size, printable
    from dandi_mirror.workflows.terminal import say

    what = identify(content)
    with index(mirror_path) as database:
        found = occurrences(database, Mirror(mirror_path.absolute()), what)
    for place in found:
        command = get_command(place.dandiset, place.version, place.path, mirror_path)
        if output == "json":
            folder = mirror_path.absolute() / place.dandiset
            where = {"action": "which", "path": str(folder / place.path), "type": "file", "refds": str(folder)}
            facts = {key: value for key, value in asdict(place).items() if key != "path"} | {"file": place.path}
            print_json(where | {"status": "ok", "message": "", **facts, "command": command})
        else:
            size = human_size(place.size)
            say(f"{place.dandiset}  {printable(place.path)}  ({size})  {' '.join(place.versions)}")
    known = f" (SHA-256 {what.sha256})" if what.sha256 and what.sha256 != content else ""
    why = "" if found else f"no version of a mirrored Dandiset holds {printable(content)}{known}"
    if output == "text" and why:
        raise NotFoundError(why)
    code = NotFoundError.exit_code if why else 0
    if output == "json":
        if why:
            where = {"action": "which", "path": content, "type": "file", "refds": str(mirror_path.absolute())}
            print_json(where | {"status": "impossible", "message": why, "sha256": what.sha256, "versions": []})
        print_summary(code, places=len(found))
    return code
