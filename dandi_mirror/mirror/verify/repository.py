"""Check a dataset's git repository by itself: objects, refs, tags, index, and what a killed run left."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dandi_mirror.mirror.sync import messages
from dandi_mirror.mirror.verify.differences import Difference, DifferenceKind, fixed_by_sync
from dandi_mirror.model import is_version_id
from dandi_mirror.repo.git.damage import why_damaged
from dandi_mirror.repo.git.dataset import ANNEX, TAGS, TEMPORARY, Dataset
from dandi_mirror.repo.git.files import locks_in
from dandi_mirror.repo.git.process import git, start
from dandi_mirror.text import quoted

_FSCK = ("fsck", "--full", "--strict", "--no-dangling", "--no-progress", "--name-objects")
_MOST_LINES = 20
"""Of what ``git fsck`` says about one repository; more would say nothing new."""
_HARMLESS = re.compile(r"notice: |dangling |Checking |hint: |unreachable ")
_OF_A_REF = re.compile(
    r"^error: (?:HEAD|refs/\S+): |^(?:error|warning): .*(?:broken ref|invalid sha1 pointer)|^error: bad ref"
)
_OF_THE_INDEX = re.compile(r"index (?:file|uses)|bad index|\.git/index", re.I)
_NAMED = re.compile(r"\(([^()]*)\)\s*$")
REPLACED = re.compile(r"refs/replace/")
"""How the refs begin by which git shows one object in place of another."""


def check_objects(dataset: Dataset) -> Iterator[Difference]:
    """What ``git fsck`` finds: lost, empty and corrupt objects, broken refs, a broken index."""
    child = start(dataset.path, _FSCK)
    output, errors = child.communicate()
    text = (errors + output).decode(errors="replace").replace(f"{dataset.path}/", "")
    said = [line.strip() for line in text.splitlines() if line.strip() and not _HARMLESS.match(line)]
    if child.returncode == 0:
        said = [line for line in said if line.startswith("error")]
    found = list(dict.fromkeys(map(_difference, said)))
    yield from found[:_MOST_LINES]
    if len(found) > _MOST_LINES:
        yield Difference(DifferenceKind.OBJECTS, "", f"{len(found) - _MOST_LINES:,} more lines of git fsck")
    if child.returncode and not found:
        yield Difference(DifferenceKind.OBJECTS, "", f"git fsck ended with exit code {child.returncode} and no message")


def _difference(line: str) -> Difference:
    named = _NAMED.search(line)
    return Difference(_kind(line), named[1] if named else "", f"git fsck: {line}")


def _kind(line: str) -> DifferenceKind:
    if _OF_A_REF.match(line):
        return DifferenceKind.REFS
    return DifferenceKind.WORKTREE if _OF_THE_INDEX.search(line) else DifferenceKind.OBJECTS


def check_files(dataset: Dataset) -> Iterator[Difference]:
    """What the files of the repository show without git: packs, refs and index that were cut off or lost."""
    if why := why_damaged(dataset.git_dir):
        kind = DifferenceKind.WORKTREE if "index" in why.split(" ")[0] and "pack" not in why else DifferenceKind.OBJECTS
        yield Difference(kind, "", why)


def check_left_behind(dataset: Dataset, dandiset: str, killed: bool) -> Iterator[Difference]:
    """Lock files of git and temporary refs that no run holds; ``killed`` tells that the last run was."""
    sync = f"dandi-mirror sync {dandiset}"
    if killed:
        yield fixed_by_sync(DifferenceKind.LOCK, "", "the last run was killed before it was done", sync)
    for lock in sorted(locks_in(dataset.git_dir)):
        path = str(lock.relative_to(dataset.path))
        remedy = sync if killed else f"if no git is at work there: rm {lock}"
        yield Difference(DifferenceKind.LOCK, path, "a lock file of git that nobody holds", remedy, sync_fixes=killed)
    left = sorted(ref for ref in dataset.refs_in_files("refs/dandi-mirror/tmp") if ref.startswith(TEMPORARY))
    for ref in left:
        yield fixed_by_sync(DifferenceKind.LOCK, ref, "a temporary ref that an interrupted run left", sync)


def check_refs(dataset: Dataset, branch: str, identifier: str) -> Iterator[Difference]:
    """Branches that must be there, and tags that do not belong to the version whose name they have.

    ``identifier`` is that of the Dandiset: ``DANDI:000004``.
    """
    refs = dataset.refs()
    for name in (f"refs/heads/{branch}", ANNEX):
        if name not in refs:
            yield Difference(DifferenceKind.REFS, name, "the branch is missing")
    for ref in sorted(filter(REPLACED.match, dataset.refs_in_files("refs/replace"))):
        what = "git, not dandi-mirror, shows another object in place of this one"
        remedy = f"git -C {quoted(dataset.path)} replace -d {ref.rpartition('/')[2]}"
        yield Difference(DifferenceKind.REFS, ref, what, remedy)
    light = dataset.light_tags()
    tagged = {ref.removeprefix(TAGS) for ref in refs if is_version_id(ref.removeprefix(TAGS))}
    made = versions_in(dataset, branch) if f"refs/heads/{branch}" in refs else {}
    for version in sorted(tagged & light):
        yield Difference(DifferenceKind.TAG, TAGS + version, "the tag is not annotated, so no sync made it")
    for version in sorted(tagged - light):
        yield from _check_tag(dataset, version, made.get(version, ""), identifier)
    for version in sorted(made.keys() - tagged):
        yield Difference(DifferenceKind.TAG, TAGS + version, "the branch contains this version, but its tag is lost")


def _check_tag(dataset: Dataset, version: str, made: str, identifier: str) -> Iterator[Difference]:
    commit, date = dataset.tagged(version)
    if made and commit != made:
        what = f"the tag was moved: it points to {commit[:10]}, and the branch contains {made[:10]} as this version"
        yield Difference(DifferenceKind.TAG, TAGS + version, what)
        return
    raw = git(dataset.path, "cat-file", "commit", commit).decode(errors="replace")
    head, _, message = raw.partition("\n\n")
    fits = messages.version_in_message(message) == version and f"\nDandiset: {identifier}\n" in message
    if not fits or "\nparent " in head:
        what = f"the tag was moved: {commit[:10]} is not the commit of this version"
        yield Difference(DifferenceKind.TAG, TAGS + version, what)
    elif date != dataset.seconds(commit):
        yield Difference(DifferenceKind.TAG, TAGS + version, "the date of the tag is not that of its commit")


def versions_in(dataset: Dataset, branch: str) -> dict[str, str]:
    """The published versions that a branch contains: version → commit."""
    listing = git(dataset.path, "log", "--max-parents=0", "--format=%H%x00%B%x01", f"refs/heads/{branch}")
    found: dict[str, str] = {}
    for entry in listing.decode(errors="replace").split("\x01"):
        commit, _, message = entry.strip("\n").partition("\x00")
        if is_version_id(version := messages.version_in_message(message)):
            found[version] = commit
    return found
