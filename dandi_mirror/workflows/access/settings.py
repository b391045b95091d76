"""Decide which settings file counts: that of a mirror in which the person is or that the person named.

A file ``dandi-mirror.toml`` may come from somebody else, with a clone, a shared folder or an unpacked tarball.  It
decides which archive is asked and where files are written, so such a file does not count.
"""

from __future__ import annotations

import os
import stat
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dandi_mirror.text import quoted
from dandi_mirror.workflows.terminal import say

if TYPE_CHECKING:
    from dandi_mirror.config import Settings


def settings_at(folder: Path, *, needed: bool = False, named: bool = False) -> tuple[Settings, dict[str, str]]:
    """Return the settings for the folder of a mirror, and where each comes from.

    If the folder is not a mirror and nobody named it, its file is not read.  The person is told so; if the settings
    are ``needed``, it is an error.  ``named``: a program named it, which has no -d.

    Raises:
        UsageError: the file is a link, git tracks it, or another user wrote it; or a value is not valid.
    """
    from dandi_mirror.config import FILE, settings_and_sources
    from dandi_mirror.errors import UsageError

    file = folder / FILE
    if not os.path.lexists(file):
        return settings_and_sources(folder, file=False)
    if not (named or is_named(folder)) and not _is_mirror(folder):
        why = f"{file} is not read, as this folder is not a mirror yet; if it is yours, name the folder: "
        why += f"-d {quoted(folder)}"
        if needed:
            raise UsageError(why)
        _tell(why)
        return settings_and_sources(folder, file=False)
    if why := _why_not(file):
        raise UsageError(f"{file} {why}")
    return settings_and_sources(folder)


def is_named(folder: Path) -> bool:
    """Whether the person named this folder, with -d or by DANDI_MIRROR."""
    context = click.get_current_context(silent=True)
    if context is None or context.params.get("mirror_path") != folder:
        return False
    source = context.get_parameter_source("mirror_path")
    return source in {click.core.ParameterSource.COMMANDLINE, click.core.ParameterSource.ENVIRONMENT}


def _is_mirror(folder: Path) -> bool:
    from dandi_mirror.mirror.state.layout import Mirror

    mirror = Mirror(folder.absolute())
    return mirror.own.is_folder() or bool(mirror.registered())


def _why_not(file: Path) -> str:
    """Say why a settings file does not count; empty if it does."""
    from dandi_mirror.repo.annex.edits import is_tracked

    facts = file.lstat()
    if not stat.S_ISREG(facts.st_mode):
        what = "a link" if stat.S_ISLNK(facts.st_mode) else "not a regular file"
        return f"is {what}, and settings are read from a file of the mirror only; put a copy there: cp -L"
    if facts.st_uid not in {os.geteuid(), 0, file.parent.stat().st_uid}:
        return (
            f"belongs to another user (number {facts.st_uid}), who is not the owner of the mirror; read it, and if you"
            f" want it, make it yours: chown {os.geteuid()} {file}"
        )
    if is_tracked(file):
        return (
            "is tracked by git, so it came with the repository and is not this mirror's own; read it, and if you want"
            f" it, let git forget it: git -C {quoted(file.parent)} rm --cached {quoted(file.name)}"
        )
    return ""


@cache
def _tell(words: str) -> None:
    """Say it once in a run."""
    say(f"dandi-mirror: {words}", err=True)
