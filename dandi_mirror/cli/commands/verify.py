"""``dandi-mirror verify``: compare the mirror with the archive, with itself, and with other mirrors."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dandi_mirror.cli import options, output, progress
from dandi_mirror.cli.exit import end_by_signals
from dandi_mirror.text import counted, printable
from dandi_mirror.workflows.names import naming

if TYPE_CHECKING:
    from dandi_mirror.mirror.verify.run import Verified


@click.command("verify")
@click.argument("dandisets", metavar="[ID]...", nargs=-1, shell_complete=options.complete_dandisets)
@click.option("--all", "everything", is_flag=True, help="Verify all Dandisets of the mirror, as without an ID.")
@click.option("--offline", is_flag=True, help="Do not ask the archive; compare the mirror with itself.")
@click.option(
    "--urls", metavar="SHARE", type=click.FloatRange(0, 1), default=0.0,
    help="Ask this share of the URLs for size, ETag and version: 0.01 asks each in one of a hundred runs.",
)  # fmt: skip
@click.option(
    "--content", metavar="SHARE", type=click.FloatRange(0, 1), default=0.0,
    help="Hash this share of the content that is here; 1 hashes all of it.",
)  # fmt: skip
@click.option(
    "--repair", is_flag=True,
    help="Then repair what can be repaired, and verify again; print each step before doing it."
    " With -n: only print the steps.",
)  # fmt: skip
@options.dry_run
@click.option("--against", metavar="DIR|URL", default="", help="Compare the tags with those of another mirror.")
@click.option(
    "--time-limit", metavar="TIME", callback=options.seconds,
    help="Begin no Dandiset after this time (90s, 50m, 2h); exit with 5 if some are left.",
)  # fmt: skip
@options.embargoed
@options.mirror
@options.instance
@options.jobs
@options.output
@options.log_level
def command(
    dandisets: tuple[str, ...],
    everything: bool,
    offline: bool,
    urls: float,
    content: float,
    repair: bool,
    dry_run: bool,
    against: str,
    time_limit: float | None,
    mirror_path: Path,
    output: str,
    **flags: Any,
) -> int:
    """Compare the mirror with the archive and with itself, and name each difference.

    Without --repair, `verify` changes nothing.  It reads every object of git, compares files, links, tags and
    git-annex's logs with the records and with what the archive says now, and looks for API keys.  It begins with the
    Dandisets that it verified longest ago.  The next run with --urls or --content continues where this one ended.

    With --repair, it gets damaged or lost parts from the archive again, and rebuilds what it can.  It keeps
    what it replaces: damaged files in .git/dandi-mirror-damaged or .git/annex/bad, a whole dataset in
    .dandi-mirror/damaged.  It never moves a tag that a sync made, and deletes no content.  To see the steps first: -n.

    \b
    Exit codes: 0 nothing differs · 3 a sync fixes it · 7 the integrity of the mirror is in question.

    \b
    Examples:
      dandi-mirror verify 000004 -d dandi
      dandi-mirror verify --all --urls 0.01 --content 0.02 -d dandi     every night
      dandi-mirror verify 000004 --repair -d dandi
      dandi-mirror verify --against https://mirror.example.org -d dandi
    """
    end_by_signals()
    from dandi_mirror.errors import UsageError
    from dandi_mirror.mirror.state.layout import Mirror
    from dandi_mirror.mirror.state.options import Options
    from dandi_mirror.mirror.verify.dataset import Checks
    from dandi_mirror.mirror.verify.other_mirror import is_local
    from dandi_mirror.workflows.sync.verify import Repairing, known_keys, verified

    if everything and dandisets:
        raise UsageError("name Dandisets, or give --all, but not both")
    if offline and repair:
        raise UsageError("--repair needs the archive; leave out --offline")
    if dry_run and not repair:
        raise UsageError("verify changes nothing; -n goes with --repair")
    if offline and urls:
        raise UsageError("--urls asks the hosts of the content; leave out --offline")
    if against and is_local(against) and not Path(against).is_dir():
        raise UsageError(f"--against {against}: there is no such folder; name that of another mirror, or its URL")
    deadline = None if time_limit is None else time.monotonic() + time_limit
    mirror, names = Mirror(mirror_path.absolute()), naming.read_names(dandisets, offline=offline)
    settings = naming.settings_for(mirror_path, names, asks_mirrors=not offline, **flags)
    with progress.show_steps(output) as (told, _):
        wanted = replace(Options.of(settings), mode="verify", progress=told)
        keys = known_keys(settings)
        checks = Checks(wanted, archive=not offline, urls=urls, content=content, against=against, keys=keys)
        ids = naming.dandisets(names)
        how = Repairing(_tell(output), dry_run) if repair else None
        found = verified(settings, mirror, ids, checks, offline=offline, deadline=deadline, repair=how)
        return _print(found, mirror.path, output)


def _tell(form: str) -> Callable[[str, str], None]:
    """Print the steps of a repair; with JSON, to stderr."""
    return lambda dandiset, step: output.say(f"{dandiset}  {printable(step)}", err=form == "json")


def _print(found: Iterable[Verified], path: Path, form: str) -> int:
    from dandi_mirror.errors import exit_code
    from dandi_mirror.workflows.sync.verify import verified_record

    codes: set[int] = set()
    dandisets = differences = left = 0
    for one in found:
        codes.add(one.exit_code)
        dandisets += 1
        differences += len(one.differences)
        left += one.deferred
        if form == "json":
            output.print_json(verified_record(one, path))
        else:
            _print_one(one)
    code = exit_code(codes)
    if form == "json":
        output.print_summary(code, dandisets=dandisets, differences=differences, deferred=left)
    elif left:
        output.say(
            f"the time limit came before {counted(left, 'Dandiset')} could be verified; the next run begins with them",
            err=True,
        )
    return code


def _print_one(one: Verified) -> None:
    """Print the line of one Dandiset, and one for each difference; of the mirror itself only if something differs."""
    if one.deferred:
        return
    if one.failure:
        output.say(f"{one.dandiset}  {printable(one.failure)}", err=True)
    elif not one.differences and one.dandiset.isdigit():
        output.say(f"{one.dandiset}  ok")
    if one.differences:
        output.say(f"{one.dandiset}  {counted(len(one.differences), 'difference')}")
    # what mends several that follow each other is said once, below them
    for remedy, alike in groupby(one.differences, lambda found: found.remedy or one.repair):
        for found in alike:
            where = f"{printable(found.path)}: " if found.path else ""
            output.say(f"  {found.kind}  {where}{printable(found.what)}")
        output.say(f"      {printable(remedy)}")
