"""A repository's git folder: where it is, and whether links or pipes in it would lead git elsewhere or make it wait."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from dandi_mirror.errors import PartError
from dandi_mirror.files.opening import open_to_read, read_at_most
from dandi_mirror.repo.git.files import noted_git_dir

_WORKTREE = re.compile(rb"(?:^|\])[ \t\r]*worktree[ \t]*(?:=[ \t]*([^\n]*))?$", re.M | re.I)
"""A setting ``worktree``, in whatever section: git takes it from ``[core]``."""

_JOURNALS = ("annex/journal", "annex/journal-private")
"""Folders whose files git-annex commits and then deletes."""
_SCANNED = ("", "info", "objects", "objects/info", "objects/pack", "refs", "refs/heads", "refs/tags", "refs/remotes",
            "refs/remotes/origin", "annex", "logs")  # fmt: skip
"""Folders whose files git or git-annex opens or writes, whatever they are; also to where a link there leads."""
_READ_AT_TOP = (".gitmodules", ".gitattributes", ".gitignore")
"""Files at the top of a work tree that git reads, whatever they are; it follows no link there."""
_NOT_FOLLOWED = ("hooks", "dandi-mirror", "info/", "objects/info/")
"""How names there begin for which a link does no harm: of hooks, which are not run, of our own, and of what is read."""
_LARGEST = 4 << 20
"""Bytes of the largest file of settings that is searched; git itself would read more."""


class UntrustedRepository(PartError):
    """In a repository git would write elsewhere, wait for ever, or start a program."""


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
                return Repository(top, noted_git_dir(top))
            return Repository(top, own)
        except (OSError, ValueError):
            if (top / "HEAD").is_file() and (top / "objects").is_dir():
                return Repository(top, top)
    return None


def way_out(path: Path) -> str:
    """How a link leads out of the repository in which a file is, as a sentence; empty if the file is in it, or in none.

    The person named the file, and not what it leads to: somebody else may have made the link.
    """
    around = find_repository(Path(os.path.abspath(path)).parent)  # noqa: PTH100
    leads = Path(os.path.realpath(path))  # of links in a circle, the last one
    if around and not leads.is_relative_to(os.path.realpath(around.top)):
        return f"{path} leads out of {around.top}, to {leads}; name that file itself"
    return ""


def why_elsewhere(found: Repository) -> str | None:
    """Why git would write files to another folder than that of the repository; None if it would not."""
    # strings: this runs before every git, and Path objects took longer than the calls of the system
    git_dir = str(found.git_dir)
    for name in _JOURNALS:
        if os.path.islink(f"{git_dir}/{name}"):  # noqa: PTH114
            return f".git/{name} is a link, so git-annex would take in and delete files of another folder"
    if os.path.islink(f"{found.top}/.gitmodules"):  # noqa: PTH114
        return ".gitmodules is a link, so git would read its settings from another folder"
    common = common_folder(found)
    if common and not _is_work_tree_of(found.git_dir, common):
        return f".git/commondir names {ascii(str(common))[1:-1]}, so git would write files there"
    if not common and (other := _other_repository(found)):
        return f".git leads to {ascii(other)[1:-1]}, the repository of another folder, so git would write files there"
    for name in ("annex", "annex/objects"):
        if (common or os.path.islink(f"{git_dir}/{name}")) and not _is_inside(f"{git_dir}/{name}", common or git_dir):  # noqa: PTH114
            return (
                f".git/{name} is a link, so git-annex would keep content in another folder (to have it on another "
                "disk, move the whole repository there)"
            )
    linked = os.path.exists(f"{git_dir}/commondir")  # noqa: PTH110 (a linked work tree ignores the shared setting)
    for name in ("config.worktree",) if linked else ("config", "config.worktree"):
        for setting in _WORKTREE.finditer(file_content(f"{git_dir}/{name}")):
            value = os.fsdecode((setting[1] or b"").strip().strip(b'"'))
            if not value or (found.git_dir / value).resolve() != found.top.resolve():
                return f".git/{name} sets core.worktree, so git would write files to {ascii(value)[1:-1]}"
    return None


def _other_repository(found: Repository) -> str:
    if found.git_dir in (found.top, found.top / ".git") and not found.git_dir.is_symlink():
        return ""
    inside = os.path.realpath(found.git_dir)
    own = found.git_dir == found.top or inside == f"{os.path.realpath(found.top)}/.git"
    return "" if own or not inside.endswith("/.git") else inside


def _is_inside(path: str, folder: str | Path) -> bool:
    return os.path.commonpath([inside := os.path.realpath(folder), os.path.realpath(path)]) == inside


def strange_entry(found: Repository) -> str | None:
    """Why a file in the git folder would make git wait for ever, or write to another folder; None if none would."""
    folders = [str(folder) for folder in (found.git_dir, common_folder(found)) if folder]
    entries = [entry for folder in folders for name in _SCANNED for entry in _neither_file_nor_folder(folder, name)]
    read = [file for name in _READ_AT_TOP if not (file := found.top / name).is_symlink()]
    pipes = [entry.path for entry in entries if is_pipe(entry)] or [str(file) for file in read if is_pipe(file)]
    if pipes:
        return f"{pipes[0]} is a pipe or a device, and git would wait for it for ever"
    for link in (entry for entry in entries if entry.is_symlink()):
        name = os.path.relpath(link.path, folders[-1])
        if not name.startswith(_NOT_FOLLOWED) and not _is_inside(link.path, folders[-1]):
            return f".git/{ascii(name)[1:-1]} is a link, so git would write to another folder"
    return None


def common_folder(found: Repository) -> Path | None:
    """The folder that a linked work tree shares with its repository; None for another repository."""
    common = file_content(f"{found.git_dir}/commondir").decode(errors="surrogateescape").strip()
    return found.git_dir / common if common else None


def _is_work_tree_of(git_dir: Path, common: Path) -> bool:
    """Whether git made a linked work tree's own folder: nobody else can put one into the repository's."""
    try:
        return git_dir.resolve().parent == common.resolve() / "worktrees"
    except (OSError, ValueError):
        return False  # what is no path


def _neither_file_nor_folder(git_dir: str, folder: str) -> list[os.DirEntry[str]]:
    """The links and special files in a folder, without a call of the system for each entry."""
    try:
        with os.scandir(f"{git_dir}/{folder}") as entries:
            return [
                entry
                for entry in entries
                if not entry.is_file(follow_symlinks=False) and not entry.is_dir(follow_symlinks=False)
            ]
    except (OSError, ValueError):
        return []


def is_pipe(file: os.DirEntry[str] | Path) -> bool:
    """Whether a file, or what a link leads to, is a pipe or a device."""
    try:
        mode = file.stat().st_mode
    except (OSError, ValueError):
        return False  # nothing, or a link to nothing
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def file_content(file: str | Path) -> bytes:
    """What a regular file holds; a pipe or a device is not read.

    Raises:
        UntrustedRepository: it is above :data:`_LARGEST`, so that not all of it would be searched.
    """
    try:
        descriptor = open_to_read(file, links=True)  # git follows them
    except (OSError, ValueError):
        return b""
    with os.fdopen(descriptor, "rb") as opened:
        content = read_at_most(opened, _LARGEST + 1) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
    if len(content) > _LARGEST:
        raise UntrustedRepository(
            f"{file} is larger than {_LARGEST >> 20} MiB, so dandi-mirror cannot tell what git would do; nothing was "
            "done there; get the Dandiset again, with dandi-mirror get"
        )
    return content
