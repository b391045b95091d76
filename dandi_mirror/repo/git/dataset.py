"""Read and write one git repository of a mirror; refs move together or not at all."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dandi_mirror.errors import DiskError
from dandi_mirror.files.opening import read_file
from dandi_mirror.paths import is_own
from dandi_mirror.repo.git import garbage
from dandi_mirror.repo.git.disk import sync_to_disk
from dandi_mirror.repo.git.files import (
    git_dir_of,
    is_filled,
    is_repository,
    locks_in,
    loose_refs,
    packed_refs,
    read_ref,
)
from dandi_mirror.repo.git.importer import Importer
from dandi_mirror.repo.git.lock import UnfinishedRun
from dandi_mirror.repo.git.new_repository import make_repository
from dandi_mirror.repo.git.process import NO_FILTER, GitError, git
from dandi_mirror.repo.git.reader import ObjectReader, opened_reader

ANNEX = "refs/heads/git-annex"
TAGS = "refs/tags/"
TEMPORARY = "refs/dandi-mirror/tmp/"
ALARM = "refs/dandi-mirror/alarm/"
"""Prefix of refs for versions that differ between archive and tag: the commit that the archive's answer gives."""
CHECKED_OUT = "refs/dandi-mirror/worktree"
"""The ref with the commit of the last update of the work tree; HEAD moves before the work tree does."""
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

ZERO = "0" * 40
_DATE = re.compile(r"[0-9]{1,11}")
_OBJECT = re.compile(r"[0-9a-f]{40}")

Tree = dict[str, tuple[bytes, str]]
"""Path → (mode, object id), for every file of a commit."""


@dataclass(frozen=True, slots=True)
class RefChange:
    """One line of a ref transaction; ``old`` is the object id that the ref must have (None: it must not exist)."""

    ref: str
    new: str
    """An object id; :data:`ZERO` removes the ref."""
    old: str | None

    def line(self) -> str:
        """The line in the format of ``git update-ref --stdin``."""
        return f"update {self.ref} {self.new} {self.old or ZERO}\n"


def commit_seconds(date: str) -> int:
    """A date that git printed, in seconds since 1970; 0 if it is missing or not from a sync (year > 9999)."""
    return int(date) if _DATE.fullmatch(date) else 0


class Dataset:
    """A DataLad dataset on disk; only git's own programs write to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.git_dir = git_dir_of(path)

    def exists(self) -> bool:
        """Whether there is a complete repository; an interrupted :meth:`create` leaves an incomplete one."""
        return is_repository(str(self.git_dir))

    def create(self, branch: str) -> None:
        """Make the repository, or complete it after an interruption."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if not is_filled(head := self.git_dir / "HEAD"):
                head.unlink(missing_ok=True)  # a power cut can leave it empty, and git init would not repair it
            make_repository(self.path, branch)
        except OSError as error:
            raise DiskError.of(self.path, error) from error
        for name in ("HEAD", "config"):
            sync_to_disk(self.git_dir / name)

    def remove(self) -> None:
        """Delete a repository that this run made and that holds nothing yet."""
        shutil.rmtree(self.path, ignore_errors=True)

    # --- reading -------------------------------------------------------------------------------------------

    def refs(self) -> dict[str, str]:
        """Every ref with its object id."""
        if not self.exists():
            return {}
        listing = git(self.path, "for-each-ref", "--format=%(refname) %(objectname)").decode(errors="surrogateescape")
        return {name: oid for name, _, oid in (line.rpartition(" ") for line in listing.splitlines())}

    def refs_in_files(self, *folders: str) -> dict[str, str]:
        """Every ref below ``folders`` (default: branches and tags) with its object id; starts no git.

        Packed refs count whatever their folders are.
        """
        folders = folders or ("refs/heads", "refs/tags")
        refs = {ref: oid for oid, _, ref in (line.partition(" ") for line in packed_refs(self.git_dir))}
        for folder in folders:
            refs |= loose_refs(str(self.git_dir), folder)
        return {ref: oid for ref, oid in refs.items() if _OBJECT.fullmatch(oid)}

    def light_tags(self) -> set[str]:
        """The names of lightweight tags; a sync makes only annotated tags."""
        if not self.exists():
            return set()
        listing = git(self.path, "for-each-ref", "--format=%(objecttype) %(refname:strip=2)", "refs/tags")
        lines = listing.decode(errors="surrogateescape").splitlines()
        return {name for kind, _, name in (line.partition(" ") for line in lines) if kind != "tag"}

    def ref(self, name: str) -> str | None:
        """The object id of one ref; None if it does not exist.  Starts no git."""
        return read_ref(str(self.git_dir), name)

    def head_branch(self) -> str:
        """The branch that HEAD names, whether that exists or not; empty if HEAD is detached, or is not a file."""
        head = (read_file(self.git_dir / "HEAD") or b"").decode(errors="replace").strip()
        return head.removeprefix("ref: refs/heads/") if head.startswith("ref: refs/heads/") else ""

    def has_checked_out(self, commit: str) -> bool:
        """Whether HEAD has the same assets as a commit."""
        names = git(self.path, "diff-tree", "-r", "--name-only", "-z", commit, "HEAD").split(b"\0")[:-1]
        return all(is_own(os.fsdecode(name)) for name in names)

    def message(self, commit: str) -> str:
        """A commit's message."""
        with self.reader() as reader:
            found = reader.commit(commit)
        if found is None:
            raise GitError(f"{self.path}: {commit} is no commit")
        return found.partition(b"\n\n")[2].decode(errors="replace")

    def seconds(self, commit: str) -> int:
        """A commit's date, in seconds since 1970."""
        return int(git(self.path, "show", "--no-patch", "--format=%ct", commit))

    def tagged(self, name: str) -> tuple[str, int]:
        """The commit of an annotated tag, and the tag's date in seconds since 1970."""
        form = "--format=%(*objectname) %(taggerdate:unix)"
        commit, _, date = git(self.path, "for-each-ref", form, f"refs/tags/{name}").decode().strip("\n").partition(" ")
        return commit, commit_seconds(date)

    def edits(self) -> list[str]:
        """The tracked files that differ from HEAD: git's two status letters, a blank, and the path."""
        listing = git(self.path, *NO_FILTER, "status", "--porcelain", "-z", "--untracked-files=no", "--no-renames")
        return listing.decode(errors="replace").split("\0")[:-1]

    def unmerged(self, commit: str | None) -> dict[str, str]:
        """The tags that are not in the history of ``commit``, oldest first, with their commits."""
        form = "--format=%(refname:strip=2) %(*objectname)"
        without = [f"--no-merged={commit}"] if commit else []
        listing = git(self.path, "for-each-ref", "--sort=taggerdate", form, *without, "refs/tags")
        lines = listing.decode(errors="surrogateescape").split("\n")
        return dict(line.split(" ", 1) for line in lines if line and not line.endswith(" "))

    def tree(self, commit: str | None, *folders: str) -> Tree:
        """Every file of a commit; with ``folders``, only those below them."""
        if commit is None:
            return {}
        listing = git(self.path, "--literal-pathspecs", "ls-tree", "-r", "-z", commit, "--", *folders)
        tree: Tree = {}
        for line in listing.decode(errors="surrogateescape").split("\0")[:-1]:
            facts, _, path = line.partition("\t")
            tree[path] = facts[:6].encode(), facts[-40:]
        return tree

    def sizes(self, commit: str, *folders: str) -> dict[str, int]:
        """The bytes of each file of a commit below ``folders``."""
        listing = git(self.path, "--literal-pathspecs", "ls-tree", "-r", "-l", "-z", commit, "--", *folders)
        lines = (line.partition("\t") for line in listing.decode(errors="surrogateescape").split("\0")[:-1])
        return {path: int(facts.split()[3]) for facts, _, path in lines if facts.startswith("100")}

    def folders(self, commit: str | None) -> dict[str, str]:
        """The folders at the top of a commit with their object ids."""
        if commit is None:
            return {}
        listing = git(self.path, "ls-tree", "-d", "-z", commit).decode(errors="surrogateescape")
        facts = (line.partition("\t") for line in listing.split("\0")[:-1])
        return {name: fact.split(" ")[2] for fact, _, name in facts}

    @contextmanager
    def reader(self) -> Iterator[ObjectReader]:
        """Read many objects through one ``git cat-file``; within :func:`one_reader`, through that one."""
        with opened_reader(self.path) as reader:
            yield reader

    # --- writing -------------------------------------------------------------------------------------------

    def clear_stale(self, run: UnfinishedRun) -> None:
        """Remove what an unfinished run left: its locks, half-written packs and temporary refs.

        Only under the dataset's lock.  Without this, a rerun would fail for ever: it makes the same pack again and
        finds the ``.keep`` file of the first run.
        """
        if not self.git_dir.is_dir():
            return
        try:
            for path in self._stale():
                if path.suffix != ".lock" or run.may_have_made(path):
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise DiskError.of(error.filename, error) from error
        self.drop_refs([ref for ref in self.refs() if ref.startswith(TEMPORARY)])

    def _stale(self) -> Iterator[Path]:
        objects = self.git_dir / "objects"
        yield from locks_in(self.git_dir)
        yield from self.git_dir.glob("fast_import_crash_*")
        yield from objects.glob("pack/tmp_*")
        yield from objects.glob("pack/.tmp-*")
        yield from objects.glob("??/tmp_obj_*")
        yield from objects.glob("tmp_*")
        for keep in objects.glob("pack/*.keep"):
            # git's own text; a .keep file of a person has another one
            if keep.read_bytes().strip() in {b"", b"fast-import"}:
                yield keep

    @contextmanager
    def importing(self) -> Iterator[Importer]:
        """Run ``git fast-import`` in this repository; no garbage collection begins before the block ends.

        Therefore move refs to the new objects within the block, after :meth:`Importer.finish`.
        """
        with garbage.no_gc(self.git_dir), Importer(self.path) as importer:
            yield importer

    def write_tag(self, content: bytes) -> str:
        """Write a tag object and return its id."""
        return git(self.path, "hash-object", "-t", "tag", "-w", "--stdin", stdin=content).decode().strip()

    def move_refs(self, changes: list[RefChange], drop: Iterable[str] = ()) -> None:
        """Move refs in one transaction, if each still has its old value; on disk when this returns.

        git deletes the refs in ``drop`` after it has moved the others, so that nothing is lost if it is killed.
        """
        lines = [*(change.line() for change in changes), *(f"delete {ref}\n" for ref in drop)]
        if not lines:
            return
        lines = ["start\n", *lines, "prepare\n", "commit\n"]
        git(self.path, "update-ref", "--stdin", "--no-deref", stdin="".join(lines).encode(errors="surrogateescape"))
        self._sync_folders({self.git_dir / change.ref for change in changes})

    def move_head(self, branch: str) -> None:
        """Point HEAD to a branch; on disk when this returns."""
        git(self.path, "symbolic-ref", "HEAD", f"refs/heads/{branch}")
        sync_to_disk(self.git_dir / "HEAD")
        sync_to_disk(self.git_dir)

    def drop_refs(self, refs: Iterable[str]) -> None:
        """Delete refs, whatever their value is."""
        lines = "".join(f"delete {ref}\n" for ref in refs)
        if lines:
            git(self.path, "update-ref", "--stdin", "--no-deref", stdin=lines.encode(errors="surrogateescape"))

    def collect_garbage(self) -> None:
        """Compact the repository if it has many packs or loose objects.  Only under the dataset's lock."""
        if garbage.is_worthwhile(self.git_dir):
            # with --auto, git ends silently if another gc is running
            git(self.path, *garbage.SETTINGS, "gc", "--auto", "--quiet")

    def _sync_folders(self, files: set[Path]) -> None:
        """Sync the folders of refs and packs to disk; git syncs only the content of files."""
        folders = {self.git_dir, self.git_dir / "objects", self.git_dir / "objects" / "pack"}
        for file in files:
            folders.update(parent for parent in file.parents if parent.is_relative_to(self.git_dir))
        for folder in sorted(folders):
            sync_to_disk(folder)
