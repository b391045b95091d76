"""One git repository of a mirror: what it holds, and how a new state is put in whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dandi_mirror.errors import DiskError
from dandi_mirror.paths import is_own
from dandi_mirror.repo.git import garbage
from dandi_mirror.repo.git.disk import sync_to_disk
from dandi_mirror.repo.git.files import git_dir_of, is_filled, is_repository, locks_in, loose_refs, read_ref
from dandi_mirror.repo.git.lock import Unfinished
from dandi_mirror.repo.git.process import NO_FILTER, GitError, git
from dandi_mirror.repo.git.reader import Reader
from dandi_mirror.repo.git.stream import Importer

ANNEX = "refs/heads/git-annex"
TAGS = "refs/tags/"
TEMPORARY = "refs/dandi-mirror/tmp/"
ALARM = "refs/dandi-mirror/alarm/"
"""Below it, for a version of which archive and tag disagree: the commit that the archive's answer gives."""
CHECKED_OUT = "refs/dandi-mirror/worktree"
"""The commit that the work tree was last brought to; HEAD moves before the work tree does."""
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

ZERO = "0" * 40
_DATE = re.compile(r"[0-9]{1,11}")
_OBJECT = re.compile(r"[0-9a-f]{40}")

Tree = dict[str, tuple[bytes, str]]
"""Path → (mode, object id), for every file of a commit."""


@dataclass(frozen=True, slots=True)
class RefChange:
    """One line of a ref transaction; ``old`` is what the ref must still be (None: it must not exist)."""

    ref: str
    new: str
    """An object id; :data:`ZERO` removes the ref."""
    old: str | None

    def line(self) -> str:
        """As ``git update-ref --stdin`` reads it."""
        return f"update {self.ref} {self.new} {self.old or ZERO}\n"


def seconds_of(date: str) -> int:
    """A date that git says, in seconds since 1970; 0 for one that no sync has written: none, or after the year 9999."""
    return int(date) if _DATE.fullmatch(date) else 0


class Dataset:
    """A DataLad dataset on disk, written only through git's own programs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.git_dir = git_dir_of(path)

    def exists(self) -> bool:
        """Whether a whole repository is there; one whose making was cut off lacks some of this."""
        return is_repository(str(self.git_dir))

    def create(self, branch: str) -> None:
        """Make the repository, or complete one whose making was cut off."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if not is_filled(head := self.git_dir / "HEAD"):
                head.unlink(missing_ok=True)  # a power cut left it empty, and git init would let it be
        except OSError as error:
            raise DiskError(f"{self.path}: {error.strerror}") from error
        git(self.path, "init", "--quiet", f"--initial-branch={branch}", "--object-format=sha1", "--template=")
        for name in ("HEAD", "config"):
            sync_to_disk(self.git_dir / name)

    def remove(self) -> None:
        """Take away a repository that was made in this run and holds nothing yet."""
        shutil.rmtree(self.path, ignore_errors=True)

    # --- reading -------------------------------------------------------------------------------------------

    def refs(self) -> dict[str, str]:
        """Every ref and the object id it holds."""
        if not self.exists():
            return {}
        listing = git(self.path, "for-each-ref", "--format=%(refname) %(objectname)").decode(errors="surrogateescape")
        return {name: oid for name, _, oid in (line.rpartition(" ") for line in listing.splitlines())}

    def refs_in_files(self, *folders: str) -> dict[str, str]:
        """Every ref below ``folders`` (branches and tags) and its object id; read from the files, without git."""
        lines: list[str] = []
        with suppress(OSError):
            lines = (self.git_dir / "packed-refs").read_text(errors="surrogateescape").splitlines()
        folders = folders or ("refs/heads", "refs/tags")
        refs = {ref: oid for oid, _, ref in (line.partition(" ") for line in lines)}
        for folder in folders:
            refs |= loose_refs(str(self.git_dir), folder)
        return {ref: oid for ref, oid in refs.items() if _OBJECT.fullmatch(oid)}

    def light_tags(self) -> set[str]:
        """Names of tags that are no tag objects: none that a sync has made."""
        if not self.exists():
            return set()
        listing = git(self.path, "for-each-ref", "--format=%(objecttype) %(refname:strip=2)", "refs/tags")
        lines = listing.decode(errors="surrogateescape").splitlines()
        return {name for kind, _, name in (line.partition(" ") for line in lines) if kind != "tag"}

    def ref(self, name: str) -> str | None:
        """The object id that one ref holds; read from the files, without starting git."""
        return read_ref(str(self.git_dir), name)

    def head_branch(self) -> str:
        """The branch that HEAD names, whether it is born or not; empty when HEAD is detached."""
        head = (self.git_dir / "HEAD").read_text().strip()
        return head.removeprefix("ref: refs/heads/") if head.startswith("ref: refs/heads/") else ""

    def has_checked_out(self, commit: str) -> bool:
        """Whether what is checked out has the assets of a commit."""
        names = git(self.path, "diff-tree", "-r", "--name-only", "-z", commit, "HEAD").split(b"\0")[:-1]
        return all(is_own(os.fsdecode(name)) for name in names)

    def message(self, commit: str) -> str:
        """A commit's message."""
        return git(self.path, "cat-file", "commit", commit).partition(b"\n\n")[2].decode(errors="replace")

    def seconds(self, commit: str) -> int:
        """A commit's date, in seconds since 1970."""
        return int(git(self.path, "show", "--no-patch", "--format=%ct", commit))

    def tagged(self, name: str) -> tuple[str, int]:
        """The commit that an annotated tag names, and the tag's date in seconds since 1970."""
        form = "--format=%(*objectname) %(taggerdate:unix)"
        commit, _, date = git(self.path, "for-each-ref", form, f"refs/tags/{name}").decode().strip("\n").partition(" ")
        return commit, seconds_of(date)

    def edits(self) -> list[str]:
        """Paths of tracked files that differ from what is checked out, with git's two letters before each."""
        listing = git(self.path, *NO_FILTER, "status", "--porcelain", "-z", "--untracked-files=no", "--no-renames")
        return listing.decode(errors="replace").split("\0")[:-1]

    def unmerged(self, commit: str | None) -> dict[str, str]:
        """Tags that a branch at ``commit`` does not hold, oldest first, and their commits."""
        form = "--format=%(refname:strip=2) %(*objectname)"
        without = [f"--no-merged={commit}"] if commit else []
        listing = git(self.path, "for-each-ref", "--sort=taggerdate", form, *without, "refs/tags")
        lines = listing.decode(errors="surrogateescape").split("\n")
        return dict(line.split(" ", 1) for line in lines if line and not line.endswith(" "))

    def tree(self, commit: str | None, *folders: str) -> Tree:
        """Every file of a commit (below ``folders``, if any are named)."""
        if commit is None:
            return {}
        listing = git(self.path, "--literal-pathspecs", "ls-tree", "-r", "-z", commit, "--", *folders)
        tree: Tree = {}
        for line in listing.decode(errors="surrogateescape").split("\0")[:-1]:
            facts, _, path = line.partition("\t")
            tree[path] = facts[:6].encode(), facts[-40:]
        return tree

    def folders(self, commit: str | None) -> dict[str, str]:
        """The folders at the top of a commit, with their object ids."""
        if commit is None:
            return {}
        listing = git(self.path, "ls-tree", "-d", "-z", commit).decode(errors="surrogateescape")
        facts = (line.partition("\t") for line in listing.split("\0")[:-1])
        return {name: fact.split(" ")[2] for fact, _, name in facts}

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """Read many objects through one ``git cat-file``."""
        reader = Reader(self.path)
        try:
            yield reader
        finally:
            reader.close()

    # --- writing -------------------------------------------------------------------------------------------

    def clear_stale(self, run: Unfinished) -> None:
        """Remove what a run left that did not come through: its locks, half-written packs and temporary refs.

        Only under the dataset's lock.  Without this a rerun that makes the same pack again, as a
        deterministic one does, meets its own ``.keep`` file for ever.
        """
        if not self.git_dir.is_dir():
            return
        try:
            for path in self._stale():
                if path.suffix != ".lock" or run.may_have_made(path):
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise DiskError(f"{error.filename}: {error.strerror}") from error
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
            # git's own reason for it; a person's .keep says something else
            if keep.read_bytes().strip() in {b"", b"fast-import"}:
                yield keep

    @contextmanager
    def importing(self) -> Iterator[Importer]:
        """A ``git fast-import`` into this repository; no gc begins before the block ends.

        So its refs are to be moved within the block, after :meth:`Importer.finish`.
        """
        with garbage.kept(self.git_dir), Importer(self.path) as importer:
            yield importer

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

    def move_head(self, branch: str) -> None:
        """Let HEAD name a branch; on disk when this returns."""
        git(self.path, "symbolic-ref", "HEAD", f"refs/heads/{branch}")
        sync_to_disk(self.git_dir / "HEAD")
        sync_to_disk(self.git_dir)

    def drop_refs(self, refs: Iterable[str]) -> None:
        """Remove refs, whatever they hold."""
        lines = "".join(f"delete {ref}\n" for ref in refs)
        if lines:
            git(self.path, "update-ref", "--stdin", "--no-deref", stdin=lines.encode())

    def collect_garbage(self) -> None:
        """Let git pack its objects anew, if there are so many that it pays.  Only under the dataset's lock."""
        if garbage.pays(self.git_dir):
            # --auto gives way without a word to a gc that somebody else has started
            git(self.path, *garbage.SETTINGS, "gc", "--auto", "--quiet")

    def _sync_folders(self, files: set[Path]) -> None:
        """Bring the names of refs and packs to the disk; git syncs contents, not folders."""
        folders = {self.git_dir, self.git_dir / "objects", self.git_dir / "objects" / "pack"}
        for file in files:
            folders.update(parent for parent in file.parents if parent.is_relative_to(self.git_dir))
        for folder in sorted(folders):
            sync_to_disk(folder)

    def set_up_annex(self, description: str) -> None:
        """Make git-annex at home here, without a word about this repository on the git-annex branch."""
        for _ in range(2):
            self._init_annex(description)
            if "annex-config-uuid" in (config := (self.git_dir / "config").read_text()):
                # git-annex lets nobody push from here before its owner has looked at remotes that enabled themselves;
                # these are this program's (what `git annex verifyremote --safe` writes; old ones lack it)
                for name in ("dandiapi", *(["dandi-embargoed"] if '"dandi-embargoed"' in config else [])):
                    git(self.path, "config", f"remote.{name}.annex-verified", "verified")
                break  # the API's remote is there; when a git that sets it up dies, git-annex does not tell
        # its settings are many; this one comes last, so that a set-up that was cut off is done again
        git(self.path, "config", "dandi-mirror.annex", "true")
        sync_to_disk(self.git_dir / "config")

    def _init_annex(self, description: str) -> None:
        with suppress(GitError):
            # where an init was cut off behind this setting, another one would not set up the API's remote
            git(self.path, "config", "--unset", "annex.version")
        before = self.ref(ANNEX)
        git(self.path, "-c", "annex.private=true", "annex", "init", "--quiet", description)
        self._keep_annex(before)

    def _keep_annex(self, before: str | None) -> None:
        """Put the git-annex branch back to ``before``, if git-annex has taken it for missing.

        It does when a git that it has started dies: it then makes an empty branch over ours, which it may
        merge with what was there, and reports success.
        """
        after = self.ref(ANNEX)
        if not before or not after or before == after:
            return
        trees = git(self.path, "rev-parse", f"{before}^{{tree}}", f"{after}^{{tree}}").split()
        if trees[0] == trees[1] or before.encode() not in git(self.path, "rev-list", after).split():
            self.move_refs([RefChange(ANNEX, before, after)])
            raise GitError(f"{self.path}: git-annex lost its branch, which is back; run this again")

    def adopt_annex(self) -> None:
        """Count git-annex as at home where a person has set it up."""
        if not self.annex_is_set_up():
            git(self.path, "config", "dandi-mirror.annex", "true")

    def annex_is_set_up(self) -> bool:
        """Whether :meth:`set_up_annex` has been done."""
        try:
            return "[dandi-mirror]" in (self.git_dir / "config").read_text()
        except OSError:
            return False
