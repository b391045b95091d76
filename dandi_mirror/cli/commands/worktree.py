"""``dandi-mirror worktree``: check out another version in a folder of its own."""

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
    """Check out a version in DIR, beside the one that is checked out: a git worktree, which shares all content.

    Content that is in the mirror, or in the clone, is in DIR at once; what you get in DIR is there, too.  Nothing is
    downloaded.  Use DIR for reading; save changes in a clone.  To remove it, delete DIR, then run
    `git worktree prune` in the dataset.

    \b
    Example:
      dandi-mirror worktree 000004@0.210831.2033 old -d dandi
    """
    from dandi_mirror.cli.output import print_json, print_summary
    from dandi_mirror.errors import DiskError, UsageError
    from dandi_mirror.mirror.locate.versions import state_of, states
    from dandi_mirror.repo.git import checkouts
    from dandi_mirror.workflows.terminal import say
    from dandi_mirror.workflows.version_ranges import read_versions

    dataset, dandiset, name = read_versions(version, mirror_path)
    if not name:
        names = ", ".join(f"{dandiset}@{state.name}" for state in reversed(states(dataset)))
        raise UsageError(f"{version}: name a version; there are {names or 'none yet'}")
    place, mirror = folder.absolute(), mirror_path.absolute()
    state = state_of(dataset, dandiset, name)
    top = mirror if dataset.path.parent == mirror else dataset.path
    if place.resolve().is_relative_to(top.resolve()):
        raise UsageError(f"{folder} is inside {top}, which would take it for a part of itself; name another folder")
    done = place.exists() and checkouts.is_worktree(dataset, place, state.commit)
    if not done:
        if place.exists() and any(place.iterdir()):
            raise UsageError(f"{folder} exists and is not empty; name a folder that does not exist")
        try:
            checkouts.add_worktree(dataset, place, state.commit)
        except DiskError as error:
            clone = shlex.join(["datalad", "clone", "--branch", name, str(dataset.path), str(folder)])
            raise DiskError(f"{error}; a clone needs no permission to write there: {clone}") from error
    if output == "json":
        where = {"action": "worktree", "path": str(place), "type": "dataset", "refds": str(dataset.path)}
        facts = {"dandiset": dandiset, "version": state.name, "commit": state.commit}
        print_json(where | {"status": "notneeded" if done else "ok", "message": ""} | facts)
        print_summary()
    elif not done:
        say(f"{folder}  {dandiset}@{state.name}  its content: datalad -C {shlex.quote(str(folder))} get .")
    return 0
