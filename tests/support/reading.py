"""What stands in a repository, as GitPython reads it: what judges a sync is not the code that wrote it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from git import Blob, Commit, Repo, TagReference

Tree = dict[str, tuple[bytes, str]]
"""Path → mode, object id."""


@dataclass(frozen=True)
class Tag:
    """An annotated tag."""

    commit: str
    message: str
    tagger: str
    time: int
    """Seconds since 1970."""


@contextmanager
def opened(folder: Path) -> Iterator[Repo]:
    """A repository, which ends its git at the end of the block."""
    with Repo(folder) as repo:
        yield repo


def tree(folder: Path, commit: str) -> Tree:
    """Every file, link and subdataset of a commit."""
    with opened(folder) as repo:
        items = [item for item in repo.commit(commit).tree.traverse() if getattr(item, "type", "") != "tree"]
        found = {str(item.path): (f"{item.mode:06o}".encode(), item.hexsha) for item in items}  # type: ignore[union-attr]
    return dict(sorted(found.items()))


def contents(folder: Path, commit: str, paths: list[str]) -> dict[str, bytes]:
    """The bytes of files of a commit; of a link, where it leads."""
    with opened(folder) as repo:
        top = repo.commit(commit).tree
        return {path: _blob(top / path).data_stream.read() for path in paths}


def history(folder: Path, commit: str) -> dict[str, tuple[str, ...]]:
    """Every commit that leads to this one, with its parents in order."""
    with opened(folder) as repo:
        return {found.hexsha: _parents(found) for found in repo.iter_commits(commit)}


def tag(folder: Path, name: str) -> Tag:
    """An annotated tag; fails for one that is not annotated."""
    with opened(folder) as repo:
        found = TagReference(repo, f"refs/tags/{name}").tag
        assert found is not None, f"{name} is not annotated"
        who = f"{found.tagger.name} <{found.tagger.email}>" if found.tagger else ""
        return Tag(found.object.hexsha, found.message, who, found.tagged_date)


def _blob(found: object) -> Blob:
    assert isinstance(found, Blob)
    return found


def _parents(commit: Commit) -> tuple[str, ...]:
    return tuple(parent.hexsha for parent in commit.parents)
