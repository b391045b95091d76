"""``dandi-mirror challenge``: prove what other mirrors say they have."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dandi_mirror.cli import options, output
from dandi_mirror.cli.exit import end_by_signals
from dandi_mirror.cli.output import print_each
from dandi_mirror.text import counted, printable
from dandi_mirror.workflows.names import naming

if TYPE_CHECKING:
    from dandi_mirror.mirror.copies.challenge import Challenged


@click.command("challenge")
@click.argument("siblings", metavar="[SIBLING]...", nargs=-1, shell_complete=options.complete_mirrors)
@click.option(
    "--count", metavar="N", type=click.IntRange(1, 1_000_000), default=66, show_default=True,
    help="Look at so many random files; 66 find a mirror that lies about a tenth of its files in 999 of 1,000 runs.",
)  # fmt: skip
@options.common
def command(siblings: tuple[str, ...], count: int, mirror_path: Path, instance: str | None, output: str) -> int:
    """Prove what other mirrors say they have.

    `challenge` asks each mirror for a random range of random files that it says it has, and compares it with this
    mirror's content, or else with the archive's.  If all are right, what the mirror says it has counts as copies for
    prove-days days (a setting).  If one is wrong, none of it counts until a later challenge finds no wrong one.

    \b
    Examples:
      dandi-mirror challenge -d dandi
      dandi-mirror challenge oxford --count 500 -d dandi
    """
    end_by_signals()
    from dandi_mirror.mirror.copies.challenge import challenge
    from dandi_mirror.mirror.state.layout import Mirror
    from dandi_mirror.workflows.copies.copies import mirrors_in, range_reader

    mirror = Mirror(mirror_path.absolute())
    settings = naming.settings_for(mirror_path, [], needed=True, instance=instance)
    found, ids = mirrors_in(settings, mirror, siblings), naming.chosen(mirror, [])
    with range_reader(settings, found) as reader:
        told = challenge(mirror, ids, found, reader, count)
        return print_each(told, lambda one: _print(one, mirror.path, output), output)


def _print(one: Challenged, path: Path, form: str) -> None:
    if form == "json":
        output.print_json(challenge_record(one, path))
    elif one.message:
        output.say(f"{one.sibling}  {printable(one.message)}", err=True)
    else:
        output.say(
            f"{one.sibling}  {one.asked:,} of {counted(one.claims, 'file')} looked at; what it has counts as copies"
        )


def challenge_record(one: Challenged, path: Path) -> dict[str, object]:
    """Make the JSON record of one mirror."""
    return {
        "action": "challenge",
        "path": str(path),
        "type": "dataset",
        "refds": str(path),
        "source": one.sibling,
        "status": "ok" if one.proved else "error",
        "message": one.message,
        "claims": one.claims,
        "asked": one.asked,
        "wrong": [
            {"dandiset": where.dandiset, "zarr": where.zarr_id, "key": key, "message": why}
            for (where, key), why in sorted(one.wrong.items(), key=lambda item: (item[0][0].name, item[0][1]))
        ],
        "undecided": len(one.undecided),
        "exit_code": one.exit_code,
    }
