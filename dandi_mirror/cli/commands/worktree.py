"""``dandi-mirror worktree``."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from dandi_mirror.cli import options


@click.command("worktree")
@click.argument("version", metavar="ID@VERSION", shell_complete=options.complete_versions)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@options.mirror
@options.output
@options.log_level
def command(version: str, folder: Path, mirror_path: Path, output: str) -> int:
    """Lay a version out in DIR, beside the one that is checked out: a git worktree, which shares all content.

    Content that is in the mirror, or in the clone (-d CLONE), is in DIR at once; what is gotten in DIR is there, too.
    Nothing is downloaded.  It is for reading: save changes in a clone.  Take it away by deleting DIR, then
    `git worktree prune` in the dataset.
    """
    from dandi_mirror.cli.output import print_json, print_summary, say
    from dandi_mirror.cli.versions import read_versions
    from dandi_mirror.errors import DiskError, UsageError
    from dandi_mirror.mirror.locate.versions import state_of, states
    from dandi_mirror.repo.git import linked

    dataset, dandiset, name = read_versions(version, mirror_path)
    if not name:
        names = ", ".join(f"{dandiset}@{state.name}" for state in reversed(states(dataset)))
        raise UsageError(f"{version}: name a version; there are {names or 'none yet'}")
    place, mirror = folder.absolute(), mirror_path.absolute()
    state = state_of(dataset, dandiset, name)
    top = mirror if dataset.path.parent == mirror else dataset.path
    if place.resolve().is_relative_to(top.resolve()):
        raise UsageError(f"{folder} is inside {top}, which would take it for a part of itself; name another")
    done = place.exists() and linked.holds(dataset, place, state.commit)
    if not done:
        if place.exists() and any(place.iterdir()):
            raise UsageError(f"{folder} is there and not empty; name a folder that is not there yet")
        try:
            linked.add(dataset, place, state.commit)
        except DiskError as error:
            clone = shlex.join(["datalad", "clone", "--branch", name, str(dataset.path), str(folder)])
            raise DiskError(f"{error}; a clone needs no right to write there: {clone}") from error
    if output == "json":
        where = {"action": "worktree", "path": str(place), "type": "dataset", "refds": str(dataset.path)}
        facts = {"dandiset": dandiset, "version": state.name, "commit": state.commit}
        print_json(where | {"status": "notneeded" if done else "ok", "message": ""} | facts)
        print_summary()
    elif not done:
        say(f"{folder}  {dandiset}@{state.name}  its content: datalad get {shlex.quote(str(folder))}")
    return 0
