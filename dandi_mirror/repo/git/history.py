"""List the states of a Dandiset in a repository: its published versions and the commits of its branch."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

from dandi_mirror.errors import PartError
from dandi_mirror.model import is_version_id
from dandi_mirror.repo.git.changes import changes
from dandi_mirror.repo.git.dataset import Dataset, commit_seconds
from dandi_mirror.repo.git.process import GitError, git
from dandi_mirror.text import quoted

BRANCHES = ("refs/heads/draft", "refs/heads/published", "refs/remotes/origin/draft", "refs/remotes/origin/published")
"""The branches that can hold the archive's newest state, in a mirror and in a clone."""

_ABBREVIATED = re.compile(r"[0-9a-f]{7,40}")


@dataclass(frozen=True, slots=True)
class Revision:
    """A commit that holds a version, or held the draft."""

    name: str
    """A published version, ``draft`` or ``published``; for an older commit of the branch, its abbreviated id."""
    commit: str
    seconds: int
    """When the archive had this state, in seconds since 1970."""


def versions(dataset: Dataset) -> list[Revision]:
    """The published versions, oldest first; only those that a sync has tagged.

    Raises:
        PartError: such a tag points to something else than a commit.
    """
    form = "--format=%(objecttype) %(*objecttype) %(taggerdate:unix) %(*objectname) %(refname:strip=2)"
    listing = git(dataset.path, "for-each-ref", "--sort=taggerdate", form, "refs/tags").decode(errors="replace")
    rows = [line.split(" ", 4) for line in listing.split("\n")[:-1]]
    tags = [row[1:] for row in rows if row[0] == "tag" and is_version_id(row[4])]
    for kind, _, _, name in tags:
        _check_commit(dataset, f"its tag {name}", kind, f"tag -d {name}")
    return [Revision(name, oid, commit_seconds(date)) for _, date, oid, name in tags]


def branch(dataset: Dataset) -> Revision | None:
    """The archive's newest state that is here: of the draft, or where only versions are mirrored of the newest one.

    Raises:
        PartError: the branch points to something else than a commit.
    """
    form = "--format=%(objecttype) %(objectname) %(refname) %(committerdate:unix)"
    rows = [line.split(" ", 3) for line in git(dataset.path, "for-each-ref", form, *BRANCHES).decode().splitlines()]
    found = {ref: (kind, Revision(ref.rpartition("/")[2], oid, commit_seconds(date))) for kind, oid, ref, date in rows}
    ref = next((ref for ref in BRANCHES if ref in found), None)
    if ref is None:
        return None
    kind, state = found[ref]
    _check_commit(dataset, f"its branch {state.name}", kind, f"update-ref -d {ref}")
    return state


def _check_commit(dataset: Dataset, what: str, kind: str, remedy: str) -> None:
    """Refuse a ref of a sync's name that no sync has made: git's ``kind`` of the object tells."""
    if kind != "commit":
        raise PartError(
            f"{dataset.path}: {what} points to a {kind or 'missing object'}, not to a commit, so no sync made it; to"
            f" remove it: git -C {quoted(dataset.path)} {remedy}"
        )


def commits(dataset: Dataset, tip: Revision, most: int, versions: Iterable[Revision]) -> list[Revision]:
    """The last commits of a branch, oldest first, without those that published ``versions`` brought into it."""
    published = {version.commit for version in versions}
    form = "--format=%H %h %ct"
    listing = git(dataset.path, "log", "--first-parent", f"--max-count={most}", form, tip.commit, "--").decode()
    rows = [line.split(" ") for line in reversed(listing.splitlines()) if line[:40] not in published]
    return [Revision(tip.name if oid == tip.commit else short, oid, commit_seconds(date)) for oid, short, date in rows]


def find(dataset: Dataset, name: str) -> Revision | None:
    """The state named by a version, by ``draft`` or by the id of a commit; None if it is not in this repository."""
    if is_version_id(name):
        return next((state for state in versions(dataset) if state.name == name), None)
    if not _ABBREVIATED.fullmatch(name):
        tip = branch(dataset)
        return tip if tip and tip.name == name else None
    try:
        found = git(dataset.path, "log", "-1", "--format=%H %ct", name, "--").decode().split()
    except GitError:
        return None
    # of what is no commit, git says nothing
    return Revision(name, found[0], commit_seconds(found[1])) if found else None


def last_by(dataset: Dataset, committer: str, *trailers: str, tip: str = "HEAD") -> str:
    """The newest commit of a history by a committer with these lines in its message; empty if there is none."""
    lines = [f"--grep=^{line}$" for line in trailers]
    form = ("--topo-order", "-1", "--format=%H", "--all-match", f"--committer=<{committer}>", *lines)
    return git(dataset.path, "log", *form, tip, "--").decode().strip()


def contents(dataset: Dataset, folder: str) -> list[tuple[str, str]]:
    """Path and object id of every file below a folder that any branch or tag has or had, newest first."""
    told = changes(dataset, "log", "--all", "-m", "--format=", "--", folder)
    found = dict.fromkeys((change.path, change.new[1]) for change in told if change.status != b"D")
    return [(os.fsdecode(name), oid.decode()) for name, oid in found]
