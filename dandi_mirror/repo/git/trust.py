"""Refuse a repository whose own settings would make git act elsewhere or start programs; read one of another user.

A ``.git`` folder that somebody else made (unpacked from an archive, or in a shared folder) brings its settings with it,
and git and git-annex follow them.  ``-c`` switches off those with a fixed name (see :data:`SAFE_SETTINGS`).  The others
have a name that the repository chooses, such as ``remote.NAME.annex-cost-command``: a repository that sets one of
these is refused.  What the user sets in ``~/.gitconfig`` counts as before.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from dandi_mirror.errors import user_name
from dandi_mirror.repo.git.git_folder import (
    Repository,
    UntrustedRepository,
    common_folder,
    file_content,
    find_repository,
    is_pipe,
    strange_entry,
    why_elsewhere,
)
from dandi_mirror.text import quoted

SAFE_SETTINGS = (
    "-c", "core.hooksPath=/dev/null",
    "-c", "core.fsmonitor=false",
    "-c", "log.showSignature=false",
    "-c", "i18n.logOutputEncoding=UTF-8",
)  # fmt: skip
"""Settings that override those of a repository: no hook, monitor or check of signatures starts, and text is UTF-8."""

_TRUE = "DANDI_MIRROR_TRUE"
NO_TRANSPORT = {"GIT_ALLOW_PROTOCOL": "", _TRUE: "true"}
"""Environment in which git asks no other repository, whatever settings say: neither by network nor by path."""
_REMOTE = re.compile(r"(remote\.(.*))\.([a-z-]+)", re.S)

READING = frozenset({
    "cat-file", "check-ignore", "diff-index", "diff-tree", "for-each-ref", "fsck", "grep", "log", "ls-files", "ls-tree",
    "merge-base", "rev-list", "rev-parse", "show", "status",
})  # fmt: skip
"""Commands that write nothing and run nothing but git.  ``config`` reads only with one of :data:`_LISTING`."""

_LISTING = frozenset({"--list", "--get", "--get-all"})

_PROGRAMS = (
    r"(?is)"
    r"core\.(sshcommand|gitproxy|askpass|alternaterefscommand)"
    r"|credential\.(.*\.)?helper"
    r"|filter\..*\.(clean|smudge|process)"
    r"|diff\.external|diff\..*\.(command|textconv)|merge\..*\.driver"
    r"|gpg\.(.*\.)?(program|defaultkeycommand)|uploadpack\.packobjectshook|gc\.recentobjectshook|alias\.annex"
    r"|hook\..*\.command|submodule\..*\.update"
    r"|protocol\.(ext\.)?allow"
    r"|remote\..*\.(uploadpack|receivepack|vcs|annex-shell|annex-hooktype|annex-rsync-transport)"
    r"|remote\..*\.annex-[a-z-]*(command|options)"
    r"|annex\..*(command|options|-hook)"
    r"|include\.path|includeif\..*\.path"
)
"""Names of settings that start a program, give one options, let a URL start one, or take settings from another file."""

_FILES = (
    r"(?is)core\.(excludesfile|attributesfile)|diff\.orderfile|mailmap\.file|fsck\.skiplist|commit\.template"
    r"|blame\.ignorerevsfile|sendemail\..*file|http\.(.*\.)?cookiefile"
)
"""Names of settings that name a file, which git reads to its end."""

_USUAL = (
    b'[filter "annex"]', b"smudge = git-annex smudge -- %f", b"clean = git-annex smudge --clean -- %f",
    b"process = git-annex filter-process",
)  # fmt: skip
"""What ``git annex init`` writes."""
_USUAL_VALUES = {
    "filter.annex.smudge": "git-annex smudge -- %f",
    "filter.annex.clean": "git-annex smudge --clean -- %f",
    "filter.annex.process": "git-annex filter-process",
    "credential.helper": "datalad",
}
_UPDATES = {"checkout", "rebase", "merge", "none"}
"""Values of ``submodule.NAME.update`` that start no program."""
_SUSPECT = (
    b"command", b"proxy", b"askpass", b"helper", b"filter", b"smudge", b"clean", b"process", b"external", b"textconv",
    b"driver", b"program", b"hook", b"annex-shell", b"options", b"transport", b"uploadpack", b"receivepack", b"vcs",
    b"include", b"protocol", b"alias", b"update", b"sfile", b"orderfile", b"mailmap", b"skiplist", b"template",
    b"ignorerevs", b"cookiefile",
)  # fmt: skip
"""A file without one of these words has no setting of :data:`_PROGRAMS` or :data:`_FILES`; git need not read it."""


def programs_in(found: Repository) -> list[str]:
    """The settings in a repository's own files that would start a program, sorted by name."""
    return sorted({name for file in _files(found) for name in _programs_in_file(file)})


def endless_files_in(found: Repository) -> list[str]:
    """The settings in a repository's own files that name a pipe or a device, sorted by name."""
    named = (pair for file in _files(found) for pair in _suspects(file) if re.fullmatch(_FILES, pair[0]))
    return sorted({name for name, value in named if is_pipe(found.top / os.path.expanduser(value))})  # noqa: PTH111 (knows unknown users)


def check(found: Repository) -> None:
    """Refuse a repository in which git would write elsewhere, wait for ever, or start a program.

    Raises:
        UntrustedRepository: they would.
    """
    if reason := why_elsewhere(found) or strange_entry(found):
        raise UntrustedRepository(
            f"{found.top}: {reason}; nothing was done there; if you did not set it, do not use this repository: "
            "get the Dandiset again, with dandi-mirror get"
        )
    if names := endless_files_in(found):
        raise UntrustedRepository(
            f"{found.top}: its own git settings set {names[0]} to a pipe or a device, for which git would wait for "
            f"ever; nothing was done there; take that out: git config -f {found.git_dir / 'config'} --unset {names[0]}"
        )
    if names := programs_in(found):
        name = ascii(names[0])[1:-1]
        raise UntrustedRepository(
            f"{found.top}: its own git settings set {name}, which can start a program, and whoever made the repository "
            f"may have chosen that; nothing was done there; if you did not set it, clone the repository and use the "
            f"clone: git clone --no-local {quoted(found.top)}; if you did, move it to your own settings: "
            f"git config --global {name} …"
        )


def refuse_annex_hooks(found: Repository) -> None:
    """Refuse a repository that has hooks of git-annex: it starts them whatever ``core.hooksPath`` says.

    Raises:
        UntrustedRepository: it has one.
    """
    folders = [folder / "hooks" for folder in (found.git_dir, common_folder(found)) if folder]
    hooks = sorted(hook for folder in folders for hook in folder.glob("*-annex"))
    if hooks:
        raise UntrustedRepository(
            f"{hooks[0]} is a program that git-annex would start, and whoever made the repository may have chosen it; "
            f"nothing was done there; look at it, then move it away: mv {quoted(hooks[0])} {quoted(f'{hooks[0]}.away')}"
        )


def settings_for(folder: Path, arguments: Sequence[str]) -> tuple[str, ...]:
    """The settings with which to start ``git -C folder arguments``, after :func:`check`.

    git refuses a repository that belongs to another user, because its settings could start programs.  Here these are
    refused or switched off, so a command that only reads may go on, with ``safe.directory`` for exactly this folder.
    """
    if (found := find_repository(folder)) is None:
        return SAFE_SETTINGS
    check(found)
    if "annex" in arguments:
        refuse_annex_hooks(found)
    if not is_reading(arguments) or not owner_if_other(found):
        return SAFE_SETTINGS
    return (*SAFE_SETTINGS, "-c", f"safe.directory={found.top.resolve()}", *_safe_git_dir(found))


def without_remotes(folder: Path, arguments: Sequence[str]) -> tuple[str, ...]:
    """Settings with which git-annex asks none of the remotes that a repository's own settings name.

    git-annex looks for the UUID of each remote that has none in the settings, even for ``git annex find``.  ``git annex
    init`` may look at remotes on this disk: from then on their content is used.
    """
    if "annex" not in arguments or (found := find_repository(folder)) is None:
        return ()
    contents = [(file, content) for file in _files(found) if b"remote" in (content := file_content(file)).lower()]
    pairs = [pair for file, content in contents for pair in _read(file, content)]
    names = {match[1] for name, _ in pairs if (match := _REMOTE.fullmatch(name))}
    if "init" in arguments:
        names -= {name.removesuffix(".url") for name, url in pairs if url.startswith(("/", ".", "file://"))}
    return tuple(f"--config-env={name}.annex-ignore={_TRUE}" for name in sorted(names))


def _safe_git_dir(found: Repository) -> tuple[str, ...]:
    """For a submodule or linked work tree git looks at the folder of its repository, too."""
    return ("-c", f"safe.directory={found.git_dir.resolve()}") if found.git_dir != found.top / ".git" else ()


def is_reading(arguments: Sequence[str]) -> bool:
    """Whether a command of git only reads."""
    words = iter(arguments)
    for word in words:
        if word == "-c":
            next(words, None)
        elif not word.startswith("-"):
            return word in READING or (word == "config" and not _LISTING.isdisjoint(arguments))
    return False


def owner_if_other(found: Repository) -> str:
    """The name of another user who owns a repository; empty if it is ours."""
    for path in (found.top, found.git_dir):
        try:
            owner = path.stat().st_uid
        except OSError:
            continue
        if owner != os.geteuid():
            return user_name(owner)
    return ""


def _files(found: Repository) -> Iterator[Path]:
    yield found.git_dir / "config"
    yield found.git_dir / "config.worktree"
    if common := common_folder(found):
        yield common / "config"


def _programs_in_file(file: Path) -> list[str]:
    return [name for name, value in _suspects(file) if re.fullmatch(_PROGRAMS, name) and not _is_usual(name, value)]


def _suspects(file: Path) -> list[tuple[str, str]]:
    """The names and values in a file that has one of the words of suspect settings; else none."""
    content = searched = file_content(file)
    for usual in _USUAL:
        searched = searched.replace(usual, b"")
    lowered = searched.lower()
    if not any(word in lowered for word in _SUSPECT):
        return []
    return _read(file, content)


def _is_usual(name: str, value: str) -> bool:
    return _USUAL_VALUES.get(name) == value or (name.endswith(".update") and value in _UPDATES)


@lru_cache(maxsize=1024)
def _read(file: Path, content: bytes) -> list[tuple[str, str]]:
    """The names and values that git itself reads in a file, which holds ``content``; it follows no include there."""
    command = ["git", "config", "--file", str(file.absolute()), "--no-includes", "--list", "-z"]
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, cwd="/", capture_output=True, check=False, env=environment)
    pairs = (os.fsdecode(entry).partition("\n") for entry in done.stdout.split(b"\0") if entry)
    return [(name, value) for name, _, value in pairs]
