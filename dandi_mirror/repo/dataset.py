"""One git repository of a mirror: what it holds, and how a new state is put in whole or not at all."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dandi_mirror.errors import DiskError
from dandi_mirror.repo import process
from dandi_mirror.repo.process import GitError, git
from dandi_mirror.repo.stream import Importer

ANNEX = "refs/heads/git-annex"
TEMPORARY = "refs/dandi-mirror/tmp/"
CHECKED_OUT = "refs/dandi-mirror/worktree"
"""The commit that the work tree was last brought to; HEAD moves before the work tree does."""
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

ZERO = "0" * 40

Tree = dict[str, tuple[bytes, str]]
"""Path → (mode, object id), for every file of a commit."""


@dataclass(frozen=True, slots=True)
class RefChange:
    """One line of a ref transaction; ``old`` is what the ref must still be (None: it must not exist)."""

    ref: str
    new: str
    old: str | None

    def line(self) -> str:
        """As ``git update-ref --stdin`` reads it."""
        return f"update {self.ref} {self.new} {self.old or ZERO}\n"


class Dataset:
    """A DataLad dataset on disk, written only through git's own programs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.git_dir = path / ".git"

    def exists(self) -> bool:
        """Whether a repository is there."""
        return (self.git_dir / "HEAD").exists()

    def create(self, branch: str) -> None:
        """Make the repository, or complete one whose making was cut off."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DiskError(f"{self.path}: {error.strerror}") from error
        git(self.path, "init", "--quiet", f"--initial-branch={branch}", "--object-format=sha1", "--template=")

    # --- reading -------------------------------------------------------------------------------------------

    def refs(self) -> dict[str, str]:
        """Every ref and the object id it holds."""
        if not self.exists():
            return {}
        # not at the top: GitPython starts git when it is imported
        from git import Reference, Repo

        with Repo(self.path) as repo:
            return {
                ref.path: Reference.dereference_recursive(repo, ref.path)
                for ref in Reference.iter_items(repo)
            }

    def ref(self, name: str) -> str | None:
        """The object id that one ref holds; read from the files, without starting git."""
        try:
            return (self.git_dir / name).read_text().strip()
        except OSError:
            pass
        try:
            packed = (self.git_dir / "packed-refs").read_text()
        except OSError:
            return None
        lines = (line.partition(" ") for line in packed.splitlines())
        return next((oid for oid, _, ref in lines if ref == name), None)

    def head_branch(self) -> str:
        """The branch that HEAD names, whether it is born or not; empty when HEAD is detached."""
        head = (self.git_dir / "HEAD").read_text().strip()
        return head.removeprefix("ref: refs/heads/") if head.startswith("ref: refs/heads/") else ""

    def message(self, commit: str) -> str:
        """A commit's message."""
        from git import Repo

        with Repo(self.path) as repo:
            message = repo.commit(commit).message
        return message if isinstance(message, str) else message.decode(errors="replace")

    def tree(self, commit: str | None, *folders: str) -> Tree:
        """Every file of a commit (below ``folders``, if any are named)."""
        if commit is None:
            return {}
        listing = git(self.path, "--literal-pathspecs", "ls-tree", "-r", "-z", commit, "--", *folders)
        tree: Tree = {}
        for line in listing.split(b"\0")[:-1]:
            facts, _, path = line.partition(b"\t")
            mode, _, oid = facts.split(b" ")
            tree[path.decode(errors="surrogateescape")] = (mode, oid.decode())
        return tree

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """Read many objects through one ``git cat-file``."""
        reader = Reader(self.path)
        try:
            yield reader
        finally:
            reader.close()

    # --- writing -------------------------------------------------------------------------------------------

    def clear_stale(self) -> None:
        """Remove what a killed run left: its locks, half-written packs and temporary refs.

        Only under the dataset's lock.  Without this a rerun that makes the same pack again, as a
        deterministic one does, meets its own ``.keep`` file for ever.
        """
        if not self.git_dir.is_dir():
            return
        try:
            for path in self._stale():
                path.unlink(missing_ok=True)
        except OSError as error:
            raise DiskError(f"{error.filename}: {error.strerror}") from error
        if (self.git_dir / "HEAD").exists():
            self.drop_refs([ref for ref in self.refs() if ref.startswith(TEMPORARY)])

    def _stale(self) -> Iterator[Path]:
        objects = self.git_dir / "objects"
        yield from self.git_dir.glob("*.lock")
        yield from (self.git_dir / "refs").rglob("*.lock")
        yield from self.git_dir.glob("fast_import_crash_*")
        yield from objects.glob("pack/tmp_*")
        yield from objects.glob("pack/.tmp-*")
        yield from objects.glob("??/tmp_obj_*")
        yield from objects.glob("tmp_*")
        for keep in objects.glob("pack/*.keep"):
            # git's own reason for it; a person's .keep says something else
            if keep.read_bytes().strip() in {b"", b"fast-import"}:
                yield keep

    def importing(self) -> Importer:
        """A ``git fast-import`` into this repository, to be used as a block."""
        return Importer(self.path)

    def write_tag(self, content: bytes) -> str:
        """Put a tag's object into the repository; its id."""
        return git(self.path, "hash-object", "-t", "tag", "-w", "--stdin", stdin=content).decode().strip()

    def move_refs(self, changes: list[RefChange]) -> None:
        """Move refs together, in this order, if each is still what it was; on disk when this returns."""
        if not changes:
            return
        lines = ["start\n", *(change.line() for change in changes), "prepare\n", "commit\n"]
        git(self.path, "update-ref", "--stdin", "--no-deref", stdin="".join(lines).encode())
        self._sync_folders({self.git_dir / change.ref for change in changes})

    def drop_refs(self, refs: Iterable[str]) -> None:
        """Remove refs, whatever they hold."""
        lines = "".join(f"delete {ref}\n" for ref in refs)
        if lines:
            git(self.path, "update-ref", "--stdin", "--no-deref", stdin=lines.encode())

    def _sync_folders(self, files: set[Path]) -> None:
        """Bring the names of refs and packs to the disk; git syncs contents, not folders."""
        folders = {self.git_dir, self.git_dir / "objects", self.git_dir / "objects" / "pack"}
        for file in files:
            folders.update(parent for parent in file.parents if parent.is_relative_to(self.git_dir))
        for folder in sorted(folders):
            sync_folder(folder)

    def check_out(self, commit: str, before: str | None) -> str:
        """Bring index and work tree from ``before`` to ``commit``, keeping local edits.

        Returns why nothing was touched when an edit stands in the way, or an empty string.
        """
        try:
            git(self.path, "read-tree", "-m", "-u", before or EMPTY_TREE, commit)
        except GitError as error:
            return str(error).partition("error: ")[2] or str(error)
        self.move_refs([RefChange(CHECKED_OUT, commit, before)])
        return ""

    def set_up_annex(self, description: str) -> None:
        """Make git-annex at home here, without a word about this repository on the git-annex branch."""
        arguments = ["-c", "annex.private=true", "annex", "init", "--quiet", description]
        # stdout is git-annex's progress; nothing of it is for the user
        git(self.path, *arguments)

    def annex_is_set_up(self) -> bool:
        """Whether :meth:`set_up_annex` has been done."""
        try:
            return "annex" in (self.git_dir / "config").read_text() and (self.git_dir / "annex").is_dir()
        except OSError:
            return False


class Reader:
    """A running ``git cat-file --batch``."""

    def __init__(self, folder: Path) -> None:
        self._child = process.start(folder, ["cat-file", "--batch"], stderr=subprocess.DEVNULL)

    def read(self, names: list[str]) -> Iterator[bytes | None]:
        """The content of each named object, None for one that is not there; in order.

        Names are object ids or ``ref:path`` without a newline.
        """
        assert self._child.stdin is not None
        for start in range(0, len(names), _BATCH):
            batch = names[start : start + _BATCH]
            # few enough that git's answers wait in its pipe only after it has read all the names
            self._child.stdin.write("".join(name + "\n" for name in batch).encode())
            self._child.stdin.flush()
            yield from (self._one() for _ in batch)

    def _one(self) -> bytes | None:
        assert self._child.stdout is not None
        header = self._child.stdout.readline()
        if header.endswith(b" missing\n") or header.endswith(b" ambiguous\n"):
            return None
        size = int(header.rsplit(b" ", 1)[1])
        return self._child.stdout.read(size + 1)[:-1]

    def close(self) -> None:
        """End the program."""
        self._child.kill()
        self._child.communicate()


_BATCH = 256


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise DiskError(f"{folder}: {error.strerror}") from error
    finally:
        os.close(descriptor)
