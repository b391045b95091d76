"""Refuse a repository whose own settings would make git act elsewhere or start programs; read one of another user.

A ``.git`` folder that somebody else made (unpacked from an archive, or in a shared folder) brings its settings with it,
and git and git-annex follow them.  ``-c`` switches off those with a fixed name (see :data:`SAFE_SETTINGS`).  The others
have a name that the repository chooses, such as ``remote.NAME.annex-cost-command``: a repository that sets one of
these is refused.  What the user sets in ``~/.gitconfig`` counts as before.
"""

from __future__ import annotations

import os
import pwd
import re
import shlex
import stat
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from dandi_mirror.errors import PartError

SAFE_SETTINGS = (
    "-c", "core.hooksPath=/dev/null",
    "-c", "core.fsmonitor=false",
    "-c", "log.showSignature=false",
)  # fmt: skip
"""Settings that override those of a repository: no hooks, no file-system monitor, no program that checks signatures."""

READING = frozenset({
    "cat-file", "check-ignore", "diff-index", "diff-tree", "for-each-ref", "grep", "log", "ls-files", "ls-tree",
    "merge-base", "rev-list", "rev-parse", "show", "status",
})  # fmt: skip
"""Commands that write nothing and run nothing but git.  ``config`` reads only with one of :data:`_LISTING`."""

_LISTING = frozenset({"--list", "--get", "--get-all"})

_PROGRAMS = re.compile(
    r"core\.(sshcommand|gitproxy|askpass|alternaterefscommand)"
    r"|credential\.(.*\.)?helper"
    r"|filter\..*\.(clean|smudge|process)"
    r"|diff\.external|diff\..*\.(command|textconv)|merge\..*\.driver"
    r"|gpg\.(.*\.)?program|uploadpack\.packobjectshook|gc\.recentobjectshook|alias\.annex"
    r"|protocol\.(ext\.)?allow"
    r"|remote\..*\.(uploadpack|receivepack|vcs|annex-shell|annex-hooktype|annex-rsync-transport)"
    r"|remote\..*\.annex-[a-z-]*(command|options)"
    r"|annex\..*(command|options|-hook)"
    r"|include\.path|includeif\..*\.path",
    re.I | re.S,
)
"""Names of settings that start a program, give one options, let a URL start one, or take settings from another file."""

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
_SUSPECT = re.compile(
    rb"command|proxy|askpass|helper|filter|smudge|clean|process|external|textconv|driver|program|hook|annex-shell|options|transport|pack\b"
    rb"|vcs|include|protocol|alias",
    re.I,
)
"""A file without one of these words has no setting of :data:`_PROGRAMS`, so git need not be started to read it."""

_WORKTREE = re.compile(rb"(?:^|\])[ \t\r]*worktree[ \t]*(?:=[ \t]*([^\n]*))?$", re.M | re.I)
"""A setting ``worktree``, in whatever section: git takes it from ``[core]``."""


_JOURNALS = ("annex/journal", "annex/journal-private")
"""Folders whose files git-annex commits and then deletes."""
_LARGEST = 4 << 20
"""Bytes of a file of settings."""


class UntrustedRepository(PartError):
    """The settings of a repository would make git write elsewhere or start a program."""


@dataclass(frozen=True, slots=True)
class Repository:
    """Where git finds a repository from some folder."""

    top: Path
    """The folder that holds ``.git``; of a bare repository, the repository itself."""
    git_dir: Path


def find_repository(folder: Path) -> Repository | None:
    """The repository that git would use in a folder; None if there is none."""
    for top in (folder, *folder.absolute().parents):
        own = top / ".git"
        try:
            if stat.S_ISREG(os.stat(own).st_mode):  # noqa: PTH116
                inside = own.read_text(errors="surrogateescape").removeprefix("gitdir:").strip()
                return Repository(top, top / inside)
            return Repository(top, own)
        except (OSError, ValueError):
            if (top / "HEAD").is_file() and (top / "objects").is_dir():
                return Repository(top, top)
    return None


def why_elsewhere(found: Repository) -> str | None:
    """Why git would write files to another folder than that of the repository; None if it would not."""
    for name in _JOURNALS:
        if (found.git_dir / name).is_symlink():
            return f".git/{name} is a link, so git-annex would take in and delete files of another folder"
    linked = (found.git_dir / "commondir").exists()  # a linked work tree ignores the shared setting
    for name in ("config.worktree",) if linked else ("config", "config.worktree"):
        for setting in _WORKTREE.finditer(_content(found.git_dir / name)):
            value = os.fsdecode((setting[1] or b"").strip().strip(b'"'))
            if not value or (found.git_dir / value).resolve() != found.top.resolve():
                return f".git/{name} sets core.worktree, so git would write files to {ascii(value)[1:-1]}"
    return None


def programs_in(found: Repository) -> list[str]:
    """The settings in a repository's own files that would start a program, sorted by name."""
    return sorted({name for file in _files(found) for name in _programs_in_file(file)})


def check(found: Repository) -> None:
    """Refuse a repository whose settings would make git write elsewhere or start a program.

    Raises:
        UntrustedRepository: they would.
    """
    if reason := why_elsewhere(found):
        raise UntrustedRepository(
            f"{found.top}: {reason}; nothing was done there; if you did not set it, do not use this repository: "
            "get the Dandiset again, with dandi-mirror get"
        )
    if names := programs_in(found):
        name = ascii(names[0])[1:-1]
        raise UntrustedRepository(
            f"{found.top}: its own git settings set {name}, which can start a program, and whoever made the repository "
            f"may have chosen that; nothing was done there; if you did not set it, clone the repository and use the "
            f"clone: git clone --no-local {shlex.quote(str(found.top))}; if you did, move it to your own settings: "
            f"git config --global {name} …"
        )


def settings_for(folder: Path, arguments: Sequence[str]) -> tuple[str, ...]:
    """The settings with which to start ``git -C folder arguments``, after :func:`check`.

    git refuses a repository that belongs to another user, because its settings could start programs.  Here these are
    refused or switched off, so a command that only reads may go on, with ``safe.directory`` for exactly this folder.
    """
    if (found := find_repository(folder)) is None:
        return SAFE_SETTINGS
    check(found)
    if not is_reading(arguments) or not owner_if_other(found):
        return SAFE_SETTINGS
    return (*SAFE_SETTINGS, "-c", f"safe.directory={found.top.resolve()}", *_safe_git_dir(found))


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
            return _name(owner)
    return ""


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _files(found: Repository) -> Iterator[Path]:
    yield found.git_dir / "config"
    yield found.git_dir / "config.worktree"
    common = _content(found.git_dir / "commondir").decode(errors="surrogateescape").strip()
    if common:
        yield found.git_dir / common / "config"


def _content(file: Path) -> bytes:
    """What a regular file holds, up to :data:`_LARGEST`; a pipe or a device is not read."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (OSError, ValueError):
        return b""
    with os.fdopen(descriptor, "rb") as opened:
        return opened.read(_LARGEST) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""


def _programs_in_file(file: Path) -> list[str]:
    content = _content(file)
    for usual in _USUAL:
        content = content.replace(usual, b"")
    return _read_names(file, _content(file)) if _SUSPECT.search(content) else []


@lru_cache(maxsize=1024)
def _read_names(file: Path, content: bytes) -> list[str]:
    """The names that git itself reads in a file, which holds ``content``; it follows no include there."""
    command = ["git", "config", "--file", str(file.absolute()), "--no-includes", "--list", "-z"]
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, cwd="/", capture_output=True, check=False, env=environment)
    pairs = (os.fsdecode(entry).partition("\n") for entry in done.stdout.split(b"\0") if entry)
    return [name for name, _, value in pairs if _PROGRAMS.fullmatch(name) and _USUAL_VALUES.get(name) != value]
