"""``dandi-mirror status``."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dandi_mirror.cli import options, output

if TYPE_CHECKING:
    from dandi_mirror.mirror.mirror import Mirror
    from dandi_mirror.mirror.status import Status


@click.command("status")
@click.argument("dandisets", metavar="[ID]...", nargs=-1, shell_complete=options.complete_dandisets)
@click.option("--offline", is_flag=True, help="Do not ask the archive; say what the last sync left.")
@options.mirror
@options.instance
@options.output
@options.log_level
def command(dandisets: tuple[str, ...], offline: bool, mirror_path: Path, instance: str | None, output: str) -> int:
    """Say how the mirrored Dandisets stand to the archive; nothing is written.

    \b
    up to date    as the archive had it when it was asked
    behind, renamed, unembargoed    the archive has moved on: run dandi-mirror sync
    pending       something waits for the archive; the next sync completes it
    refused       something the archive lists must not reach git (named below)
    version gone  a tagged version is no longer in the archive; the tag stays
    unfinished    the last sync was cut off: run it again
    unanswered    the archive did not answer the last sync, or not as a whole
    failed        the last sync could not be done (named below)
    gone, forbidden, embargoed, emptied    the mirror keeps what it has
    alarm         a tagged version and the archive disagree
    """
    from dandi_mirror.archive.instances import dandiset_id
    from dandi_mirror.config import read_settings
    from dandi_mirror.errors import UsageError
    from dandi_mirror.mirror.mirror import Mirror

    mirror = Mirror(mirror_path.absolute())
    ids = [dandiset_id(text) for text in dandisets] or mirror.dandisets()
    if not ids:
        raise UsageError(f"{mirror_path} holds no Dandiset; make one: dandi-mirror sync 000004 -d {mirror_path}")
    asked = "" if offline else instance or read_settings(mirror_path).instance or "dandi"
    found = _look(mirror, ids, asked)
    for status in found:
        _print(status, mirror.path, output)
    return max((status.exit_code for status in found), default=0)


def _look(mirror: Mirror, ids: list[str], instance: str) -> list[Status]:
    """How each stands; the archive is not asked if it has no name."""
    from dandi_mirror.archive.client import Archive
    from dandi_mirror.archive.http import Session
    from dandi_mirror.archive.instances import api_url
    from dandi_mirror.mirror.status import status_of

    if not instance:
        return [status_of(mirror, dandiset, None) for dandiset in ids]
    with closing(Session(api_url(instance), options.token(instance))) as session:
        ask = Archive(session).dandiset
        return [status_of(mirror, dandiset, ask) for dandiset in ids]


def _print(status: object, path: Path, form: str) -> None:
    from dandi_mirror.mirror.status import Status, Word

    assert isinstance(status, Status)
    if form == "json":
        facts = asdict(status) | {"word": str(status.word)}
        where = {"action": "status", "path": str(path / status.dandiset), "type": "dataset", "refds": str(path)}
        state = "ok" if status.exit_code == 0 else "impossible"
        output.print_json(where | {"status": state, "message": str(status.word)} | facts)
        return
    details = [f"{status.versions} version{'' if status.versions == 1 else 's'}"]
    details += [f"{status.edits} local edit{'' if status.edits == 1 else 's'}"] if status.edits else []
    line = f"{status.dandiset}  {status.word}"
    click.echo(line if status.word is Word.MISSING else f"{line}  {', '.join(details)}")
    if status.failure:
        click.echo(f"  {output.printable(status.failure)}")
    for finding in output.finding_lines(status.findings):
        click.echo(finding)
