"""``dandi-mirror worktree``: check out another version in a folder of its own."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dandi_mirror.cli import options
from dandi_mirror.text import quoted

if TYPE_CHECKING:
    from dandi_mirror.repo.git.dataset import Dataset
    from dandi_mirror.repo.git.history import Revision


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
    from dandi_mirror.errors import UsageError
    from dandi_mirror.mirror.locate.versions import commit_of_version, states
    from dandi_mirror.workflows.names.version_ranges import read_versions
    from dandi_mirror.workflows.terminal import say

    dataset, dandiset, name = read_versions(version, mirror_path)
    if not name:
        names = ", ".join(f"{dandiset}@{state.name}" for state in reversed(states(dataset)))
        raise UsageError(f"{version}: name a version; there are {names or 'none yet'}")
    state, mirror = commit_of_version(dataset, dandiset, name), mirror_path.absolute()
    is_new = _check_out(dataset, state, folder, mirror if dataset.path.parent == mirror else dataset.path)
    if output == "json":
        where = {"action": "worktree", "path": str(folder.absolute()), "type": "dataset", "refds": str(dataset.path)}
        facts = {"dandiset": dandiset, "version": state.name, "commit": state.commit}
        print_json(where | {"status": "ok" if is_new else "notneeded", "message": ""} | facts)
        print_summary()
    elif is_new:
        say(f"{folder}  {dandiset}@{state.name}  its content: datalad -C {quoted(folder)} get .")
    return 0


def _check_out(dataset: Dataset, state: Revision, folder: Path, top: Path) -> bool:
    """Check out a version in a folder outside ``top``; return False if it is checked out there already.

    Raises:
        UsageError: the folder is inside ``top``, or has something else in it.
        DiskError: the disk has no links; or git or git-annex failed, and the message has the command for a clone.
    """
    from dandi_mirror.errors import DiskError, UsageError
    from dandi_mirror.files.abilities import lacks
    from dandi_mirror.repo.git import checkouts

    place = folder.absolute()
    if place.resolve().is_relative_to(top.resolve()):
        raise UsageError(f"{folder} is inside {top}, which would take it for a part of itself; name another folder")
    if place.exists() and checkouts.is_worktree(dataset, place, state.commit):
        return False
    if place.exists() and any(place.iterdir()):
        raise UsageError(f"{folder} exists and is not empty; name a folder that does not exist")
    if lacking := lacks(place):
        raise DiskError(
            f"{folder}: this disk has no {lacking}, and the links to the content need them; name a folder on another "
            "disk; on this disk you can have plain files: dandi-mirror download"
        )
    try:
        checkouts.add_worktree(dataset, place, state.commit)
    except DiskError as error:
        clone = shlex.join(["datalad", "clone", "--branch", state.name, str(dataset.path), str(folder)])
        raise DiskError(f"{error}; a clone needs no permission to write there: {clone}") from error
    return True
