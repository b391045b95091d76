"""``dandi-mirror fetch``: learn from other mirrors which content they have."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dandi_mirror.cli import options, output
from dandi_mirror.cli.exit import end_by_signals
from dandi_mirror.cli.output import print_each
from dandi_mirror.text import counted, human_size, printable
from dandi_mirror.workflows.names import naming

if TYPE_CHECKING:
    from dandi_mirror.mirror.copies.claims import FetchedClaims


@click.command("fetch")
@click.argument("siblings", metavar="[SIBLING]...", nargs=-1, shell_complete=options.complete_mirrors)
@options.common
def command(siblings: tuple[str, ...], mirror_path: Path, instance: str | None, output: str) -> int:
    """Learn from other mirrors which content they have.

    SIBLING is a mirror in dandi-mirror.toml with type = "mirror"; without one, `fetch` asks all of them.  It reads
    their git-annex branches, and believes only what each says about its own content.  It never changes drafts and tags,
    and brings no content.  What a mirror says counts as a copy when `challenge` has proved it.

    \b
    Examples:
      dandi-mirror fetch -d dandi
      dandi-mirror fetch oxford -d dandi
    """
    end_by_signals()
    from dandi_mirror.mirror.copies.fetching import fetch_claims
    from dandi_mirror.mirror.state.layout import Mirror
    from dandi_mirror.workflows.copies.copies import mirrors_in, reading

    mirror = Mirror(mirror_path.absolute())
    settings = naming.settings_for(mirror_path, [], needed=True, instance=instance)
    found, ids = mirrors_in(settings, mirror, siblings), naming.chosen(mirror, [])
    with reading(settings, found) as session:
        told = fetch_claims(mirror, ids, found, session.content, frozenset(settings.content_hosts))
        return print_each(told, lambda one: _print(one, mirror.path, output), output)


def _print(one: FetchedClaims, path: Path, form: str) -> None:
    if form == "json":
        output.print_json(fetch_record(one, path))
    elif one.message:
        where = f"{one.dandiset}  {one.sibling}" if one.dandiset else one.sibling
        output.say(f"{where}  {printable(one.message)}", err=True)
    elif one.status != "notneeded":
        news = [f"+{one.new:,}"] if one.new else []
        news += [f"-{one.gone:,}"] if one.gone else []
        amount = f"{counted(one.keys, 'file')}, {human_size(one.size)}"
        output.say("  ".join([one.dandiset, one.sibling, amount, *news]))


def fetch_record(one: FetchedClaims, path: Path) -> dict[str, object]:
    """Make the JSON record of one dataset."""
    return {
        "action": "fetch",
        "path": str(path / one.dandiset),
        "type": "dataset",
        "refds": str(path),
        "dandiset": one.dandiset,
        "source": one.sibling,
        "status": one.status,
        "message": one.message,
        "keys": one.keys,
        "size": one.size,
        "new": one.new,
        "gone": one.gone,
        "exit_code": one.exit_code,
    }
