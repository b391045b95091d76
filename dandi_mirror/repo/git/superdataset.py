"""Read and write the superdataset: the repository at the top of a mirror, in which every dataset is registered."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from dandi_mirror.errors import UsageError
from dandi_mirror.files.opening import read_text
from dandi_mirror.files.own import own_folder
from dandi_mirror.model import is_dandiset_id
from dandi_mirror.repo.git import garbage, worktree
from dandi_mirror.repo.git.dataset import TEMPORARY, Dataset, RefChange, Tree
from dandi_mirror.repo.git.files import git_dir_of
from dandi_mirror.repo.git.lock import UnfinishedRun
from dandi_mirror.repo.git.process import git
from dandi_mirror.repo.git.stream import GITLINK, Commit, ExistingObject, Inline, TreeEntry
from dandi_mirror.text import printable, quoted

BRANCH = "draft"
ARCHIVE = "dandi-mirror.archive"
"""The git setting that names the API of the mirror's archive; a clone of the mirror does not have it."""
_ARCHIVE = re.compile(r"^\[dandi-mirror\]\n(?:[ \t].*\n)*?[ \t]+archive = (\S+)$", re.M)
_REF = f"refs/heads/{BRANCH}"
_HEADS = "refs/heads/"
_OF_GIT_ANNEX = ("git-annex", "synced/")
_ATTRIBUTES = b"* annex.backend=SHA256E\n* annex.largefiles=anything\n**/.git* annex.largefiles=nothing\n"
IGNORED = b"/.dandi-mirror/\n/dandi-mirror.toml\n/zarr/\n"


@dataclass(frozen=True, slots=True)
class RegisteredDataset:
    """A dataset as the superdataset registers it."""

    path: str
    """Relative to the superdataset; made of validated ids only."""
    dataset_id: str
    commit: str


class Superdataset:
    """The repository at the top of a mirror."""

    def __init__(self, path: Path) -> None:
        self.dataset = Dataset(path)
        self.path = path
        self._read: tuple[str | None, Tree] | None = None

    def check_folder(self) -> None:
        """Refuse what cannot be a mirror of any archive, before anything is asked or written.

        Raises:
            UsageError: it is a file, or a clone of a Dandiset.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(f"{self.path} is not a folder; name another one: -d DIR")
        if os.path.lexists(self.path / "dandiset.yaml"):
            if its := _mirror_around(self.path.absolute()):
                raise UsageError(f"{self.path} is the dataset of a Dandiset{its}")
            raise UsageError(
                f"{self.path} is a clone of a Dandiset, not a mirror; name a mirror, or a new folder: -d DIR"
            )
        if not self.head():
            self._refuse_around()

    def _refuse_around(self) -> None:
        """Refuse a new mirror in a clone of a Dandiset or in another mirror: nobody means that."""
        for around in self.path.absolute().parents:
            if os.path.lexists(around / "dandiset.yaml") and os.path.lexists(around / ".git"):
                its = _mirror_around(around)
                raise UsageError(
                    f"{self.path} is in the dataset of a Dandiset, {around}{its}; to make a mirror: -d DIR"
                )
            if own_folder(around).is_folder() and os.path.lexists(around / ".git"):
                raise UsageError(
                    f"{self.path} is no mirror, and is in the mirror {around}; to mean that one: "
                    f"-d {quoted(around)}; to make another: -d DIR, a folder outside"
                )

    def check_is_ours(self, dataset_id: str) -> None:
        """Refuse a folder that holds something else or the mirror of another archive.

        ``dataset_id`` is the id of this archive's superdataset.

        Raises:
            UsageError: the folder cannot be a mirror of this archive.
        """
        self.check_folder()
        config = self._config()
        if config:
            if dataset_id not in config:
                raise UsageError(f"{self.path} mirrors another archive; name the archive: -i NAME, or a folder: -d DIR")
            return
        if not self.path.exists():
            return
        # in this order, because the sync of another Dandiset may just be making our first folder
        if (strange := strange_in(self.path)) and not own_folder(self.path).is_folder():
            what = f"{self.path} is not empty and not a mirror (it holds {strange})"
            raise UsageError(f"{what}; name a new folder: -d DIR")
        if not own_folder(self.path).is_folder():
            self._refuse_commits()

    def _refuse_commits(self) -> None:
        """Refuse a repository in which others have committed; that of an interrupted first run has no branch yet."""
        heads = [ref.removeprefix(_HEADS) for ref in self.dataset.refs_in_files("refs/heads") if ref.startswith(_HEADS)]
        if others := [branch for branch in heads if not branch.startswith(_OF_GIT_ANNEX)]:
            raise UsageError(
                f"{self.path} is a git repository and not a mirror: it has a branch {min(others)} that no sync made; "
                "name a new folder: -d DIR"
            )

    def _config(self) -> str:
        """The committed ``.datalad/config``; empty if there is none."""
        head = self.dataset.ref(_REF)
        return _config_of(self.path, head) if head else ""

    def archive(self) -> str:
        """The API of the mirror's archive, as the first sync noted it; empty if it is not known.  Starts no git."""
        try:
            found = _ARCHIVE.findall(read_text(git_dir_of(self.path) / "config"))
        except OSError:
            return ""
        return found[-1] if found else ""

    def note_archive(self, api_url: str) -> None:
        """Note the archive of this mirror in git's settings."""
        if self.archive() != api_url:
            git(self.path, "config", ARCHIVE, api_url)

    def head(self) -> str:
        """The commit of the branch; empty if there is none.  Starts no git."""
        return self.dataset.ref(_REF) or ""

    def take_out(self, dandiset: str) -> str:
        """What a person types so that the superdataset does not name a Dandiset any more; no sync does it."""
        git_here = f"git -C {quoted(self.path.absolute())}"
        return f"{git_here} rm -q {dandiset} && {git_here} commit -q -m '{dandiset} is not here any more'"

    def members(self) -> dict[str, str]:
        """The registered datasets: path → commit."""
        tree = self._tree(self.head() or None)
        return {path: commit for path, (mode, commit) in tree.items() if mode == GITLINK}

    def _tree(self, head: str | None) -> Tree:
        """The files of a commit, read once."""
        if self._read is None or self._read[0] != head:
            self._read = head, self.dataset.tree(head)
        return self._read[1]

    def register(self, members: Mapping[str, RegisteredDataset], config: bytes, date: datetime, message: str) -> None:
        """Commit which commit each dataset is at, and bring the work tree to it.

        Raises:
            WorktreeBlocked: the commit is made, but a local edit is in the way of the work tree.
            DiskError, GitError: git failed.
        """
        if not self.dataset.exists():
            self.dataset.create(BRANCH)
        head = self.dataset.ref(_REF)
        tree = self._tree(head)
        new = self._entries(tree, members, config)
        changed = [(path, entry) for path, entry in new.items() if tree.get(path) != (entry.mode, entry.object_id())]
        if changed:
            temporary = TEMPORARY + BRANCH
            with garbage.no_gc(self.dataset.git_dir):
                with self.dataset.importing() as importer:
                    importer.commit(Commit(temporary, date, message, base=head), [], changed)
                made = self.dataset.ref(temporary)
                assert made
                self.dataset.move_refs([RefChange(_REF, made, head)], drop=[temporary])
        worktree.update_worktree(self.dataset, BRANCH, head)

    def clear_stale(self, run: UnfinishedRun) -> None:
        """Clean up after an unfinished run.  Only under the superdataset's lock."""
        self.dataset.clear_stale(run)
        with suppress(worktree.WorktreeBlocked):  # this run reports it when it comes to the work tree
            worktree.update_worktree(self.dataset, BRANCH, self.dataset.ref(_REF))

    def _entries(
        self, tree: Mapping[str, tuple[bytes, str]], members: Mapping[str, RegisteredDataset], config: bytes
    ) -> dict[str, TreeEntry]:
        entries: dict[str, TreeEntry] = {
            ".datalad/config": Inline(config),
            ".gitattributes": Inline(_ATTRIBUTES),
            ".gitignore": Inline(IGNORED),
            ".gitmodules": Inline(self._modules(tree, members)),
        }
        entries |= {member.path: ExistingObject(member.commit, GITLINK) for member in members.values()}
        return entries

    def _modules(self, tree: Mapping[str, tuple[bytes, str]], members: Mapping[str, RegisteredDataset]) -> bytes:
        """The content of ``.gitmodules`` with these members; the sections of all other members stay as they are."""
        sections: dict[str, bytes] = {}
        if ".gitmodules" in tree:
            with self.dataset.reader() as reader:
                (content,) = reader.read([tree[".gitmodules"][1]])
            sections = _sections(content or b"")
        for member in members.values():
            name = f'[submodule "{member.path}"]'
            sections[name] = (
                f"{name}\n\tpath = {member.path}\n\turl = ./{member.path}\n\tdatalad-id = {member.dataset_id}\n"
            ).encode()
        return b"".join(sections[name] for name in sorted(sections))


@lru_cache(maxsize=8)
def _config_of(path: Path, commit: str) -> str:
    """The ``.datalad/config`` of a commit; a run asks for it again with each Dandiset."""
    with Dataset(path).reader() as reader:
        (content,) = reader.read([f"{commit}:.datalad/config"])
    return (content or b"").decode(errors="replace")


def _sections(content: bytes) -> dict[str, bytes]:
    sections: dict[str, bytes] = {}
    name = ""
    for line in content.splitlines(keepends=True):
        if line.startswith(b"["):
            name = line.decode(errors="surrogateescape").strip()
        sections[name] = sections.get(name, b"") + line
    return sections


def _mirror_around(dataset: Path) -> str:
    """What to type, in a message, to mean the mirror that holds a dataset; empty if none does."""
    held = own_folder(dataset.parent).is_folder()
    return f"; to mean the mirror of that: -d {quoted(dataset.parent)}" if held else ""


def new_mirror(path: Path) -> str:
    """What to type behind -d to make a mirror: the folder, or DIR if it cannot become one."""
    superdataset = Superdataset(path)
    try:
        superdataset.check_folder()
        if strange_in(path) and not superdataset.head() and not own_folder(path).is_folder():
            return "DIR"
    except (UsageError, OSError):
        return "DIR"
    return quoted(path)


def strange_in(path: Path) -> str:
    """The name of something in a folder that a mirror does not begin with; empty if there is nothing."""
    if not path.exists():
        return ""
    return min((printable(entry.name) for entry in path.iterdir() if not _may_stand(entry)), default="")


def _may_stand(entry: Path) -> bool:
    """Whether a folder that becomes a mirror may contain this: settings, or a remainder of an interrupted run."""
    return entry.name in {"dandi-mirror.toml", ".git"} or (is_dandiset_id(entry.name) and (entry / ".git").is_dir())
