"""``dandi-mirror hold``: hold a share of the content, within a pledge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dandi_mirror.cli import options, output, progress
from dandi_mirror.cli.exit import end_by_signals
from dandi_mirror.text import counted, human_size, printable
from dandi_mirror.workflows.names import naming

if TYPE_CHECKING:
    from dandi_mirror.mirror.copies.planner import HoldKey
    from dandi_mirror.mirror.copies.shares import HoldResult, Share
    from dandi_mirror.workflows.copies.hold import Pledge

_SHOWN = 10


@click.command("hold")
@click.argument("dandisets", metavar="[ID]...", nargs=-1, shell_complete=options.complete_dandisets)
@click.option(
    "--max-size", metavar="SIZE", required=True, help="Hold at most this much content in the mirror, such as 40T."
)
@click.option(
    "--where", "where", metavar="FIELD:VALUE", multiple=True,
    help="Fetch only files with this metadata, such as 'species:human'; may be repeated.",
)  # fmt: skip
@click.option(
    "--give-up/--keep", "may_give_up", default=None,
    help="Give up content, or keep it, without a question.  [default: ask on a terminal, else keep]",
)  # fmt: skip
@options.connections()
@options.dry_run
@options.common
def command(
    dandisets: tuple[str, ...],
    max_size: str,
    where: tuple[str, ...],
    may_give_up: bool | None,
    jobs: int,
    dry_run: bool,
    mirror_path: Path,
    instance: str | None,
    output: str,
) -> int:
    """Hold a share of the content: fetch what has the fewest copies, within a pledge.

    First comes what has the fewest copies in other mirrors, then the oldest, then published versions, then small files.
    When the pledge is full, content with more copies makes room for content with fewer.  `hold` gives up a file only
    if at least two other mirrors (more if `git annex numcopies` says so) have just shown a random range of it, and if
    git-annex finds these copies, too.  Run `fetch` and `challenge` before it.

    \b
    Examples:
      dandi-mirror hold --max-size 40T -n -d dandi           show the plan
      dandi-mirror hold --max-size 40T --give-up -d dandi    for cron
      dandi-mirror hold 000004 --max-size 2T --where species:human -d dandi
    """
    end_by_signals()
    from dandi_mirror.config import size
    from dandi_mirror.mirror.contents.selection import parse_where
    from dandi_mirror.mirror.state.layout import Mirror
    from dandi_mirror.workflows.copies.copies import mirrors_in
    from dandi_mirror.workflows.copies.hold import Pledge

    mirror, names = Mirror(mirror_path.absolute()), naming.read_names(dandisets)
    settings = naming.settings_for(mirror_path, names, instance=instance)
    siblings = mirrors_in(settings, mirror, needed=False)
    ids = naming.chosen(mirror, naming.dandisets(names))
    pledge = Pledge(mirror, settings, siblings, ids, size("--max-size", max_size), parse_where(where))
    share, gives_up = _plan(pledge, may_give_up, dry_run, output)
    why = "too few mirrors have copies to give them up" if gives_up else "without --give-up nothing is given up"
    if dry_run:
        _show(share, output)
        return _end({}, set(), share, output, why, dry_run=True)
    return _carry_out(pledge, share, jobs, output, why)


def _plan(pledge: Pledge, may_give_up: bool | None, dry_run: bool, form: str) -> tuple[Share, bool]:
    """Plan, and ask whether content may be given up if the plan says so; whether the plan may give up any."""
    from dandi_mirror.workflows import terminal

    share = pledge.plan(give_up=may_give_up is not False)
    if not share.plan.give_up or may_give_up or dry_run:
        return share, may_give_up is not False
    words = f"{_amount(share.plan.give_up)} that other mirrors have"
    if terminal.is_interactive() and terminal.agree(f"give up {words}?", "nothing was given up or fetched"):
        return share, True
    if form == "text":
        output.say(f"kept: {words}; to give it up: --give-up", err=True)
    return pledge.plan(give_up=False), False


def _carry_out(pledge: Pledge, share: Share, jobs: int, form: str, why_over: str) -> int:
    from dandi_mirror.archive.content.single import ByteCounter

    codes, sizes, counts = set[int](), Counter[str](), Counter[str]()
    fetch = share.plan.fetch
    # the results of a Zarr are those of its entries, so it is never done
    names = [f"{one.dandiset}/{one.path}" for one in share.shown(sorted(fetch, key=lambda key: key.is_zarr))]
    total = sum(key.size for key in fetch)
    meter = ByteCounter(lambda count: bar.doing(progress.waiting_words("get", count)))
    with progress.transferring(form, names, total, lambda: meter.received) as bar:
        for one in pledge.carry_out(share, jobs, meter):
            codes.add(one.exit_code)
            counts[one.what] += one.status == "ok"
            sizes[one.what] += one.size if one.status == "ok" else 0
            bar.done(f"{one.dandiset}/{one.path}")
            _print(one, pledge.mirror.path, form)
    done = {what: (counts[what], sizes[what]) for what in ("give up", "fetch")}
    return _end(done, codes, share, form, why_over)


def _print(one: HoldResult, path: Path, form: str) -> None:
    if form == "json":
        output.print_json(hold_record(one, path))
    elif one.message and one.what == "give up":
        output.say(f"{one.dandiset}  {printable(one.path)} stays: {printable(one.message)}", err=True)
    elif one.message:
        output.say(f"{one.dandiset}  {printable(one.path)}: {printable(one.message)}", err=True)


def _show(share: Share, form: str) -> None:
    for what, keys in (("give up", share.plan.give_up), ("fetch", share.plan.fetch)):
        for place, (key, one) in enumerate(zip(keys, share.shown(keys), strict=True)):
            if form == "json":
                output.print_json(hold_record(one, Path(), dry_run=True))
            elif place < _SHOWN:
                copies = counted(key.elsewhere, "copy").replace("copys", "copies")
                where = f"{one.dandiset}  {printable(one.path)}" + (
                    "" if key.files == 1 else f"  ({key.files:,} files)"
                )
                output.say(f"{what:8}  {human_size(key.size):>10}  {copies:9} elsewhere  {where}")
        if form == "text" and len(keys) > _SHOWN:
            output.say(f"{what:8}  … and {len(keys) - _SHOWN:,} more (-f json names all)")


def _show_left_out(share: Share, form: str, *, dry_run: bool) -> None:
    """Name the Zarrs for which the pledge has no room."""
    for place, one in enumerate(share.left_out()):
        if form == "json":
            output.print_json(hold_record(one, Path(), dry_run=dry_run))
        elif place < _SHOWN:
            output.say(f"{one.dandiset}  {printable(one.path)} is not held: {one.message}", err=True)
    count = len(share.plan.left_out)
    if form == "text" and count > _SHOWN:
        size = human_size(sum(key.size for key in share.plan.left_out))
        words = f"{count:,} Zarrs of {size} are not held for want of room; -f json names all"
        output.say(f"… in all, {words}", err=True)


def _end(
    done: dict[str, tuple[int, int]], codes: set[int], share: Share, form: str, why_over: str, *, dry_run: bool = False
) -> int:
    """Print the summary; ``why_over`` says why content beyond the pledge stays."""
    from dandi_mirror.errors import PartError, exit_code

    plan = share.plan
    _show_left_out(share, form, dry_run=dry_run)
    code = exit_code({*codes, PartError.exit_code if plan.over else 0})
    if form == "json":
        facts = {what.replace(" ", "_"): count for what, (count, _) in done.items()}
        output.print_summary(
            code, **facts, held=plan.held, over=plan.over, room=plan.room, left_out=len(plan.left_out), dry_run=dry_run
        )
        return code
    if dry_run:
        output.say(
            f"would give up {_amount(plan.give_up)} and fetch {_amount(plan.fetch)}; nothing was done: --dry-run"
        )
    else:
        gone, came = (f"{counted(count, 'file')}, {human_size(size)}" for count, size in done.values())
        output.say(f"gave up {gone}; fetched {came}")
    if plan.over:
        output.say(f"{human_size(plan.over)} are beyond the pledge, and {why_over}", err=True)
    return code


def _amount(keys: Iterable[HoldKey]) -> str:
    keys = list(keys)
    return f"{counted(sum(key.files for key in keys), 'file')}, {human_size(sum(key.size for key in keys))}"


def hold_record(one: HoldResult, path: Path, *, dry_run: bool = False) -> dict[str, object]:
    """Make the JSON record of one key."""
    return {
        "action": "hold",
        "path": str(path / one.dandiset / one.path),
        "type": "file",
        "refds": str(path / one.dandiset),
        "dandiset": one.dandiset,
        "file": one.path,
        "key": one.key,
        "size": one.size,
        "what": one.what,
        "status": one.status,
        "message": one.message,
        "exit_code": one.exit_code,
        "dry_run": dry_run,
    }
