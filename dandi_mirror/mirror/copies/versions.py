"""The keys and the Zarrs of each version of a dataset, read from its trees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dandi_mirror.mirror.zarr.gitmodules import ZarrModule, read_gitmodules
from dandi_mirror.model import DRAFT, is_version_id
from dandi_mirror.paths import GITMODULES
from dandi_mirror.repo.annex.pointers import LONGEST_POINTER, key_in
from dandi_mirror.repo.git.dataset import Dataset, Tree
from dandi_mirror.repo.git.reader import ObjectReader
from dandi_mirror.repo.git.stream import GITLINK, LINK


@dataclass(frozen=True, slots=True)
class VersionContents:
    """What has content in a version."""

    files: dict[str, str]
    """Path → key."""
    zarrs: dict[str, ZarrModule]
    """By path."""


def commits_of(dataset: Dataset) -> dict[str, str]:
    """The versions that a dataset holds with their commits: published ones, oldest first, then the draft."""
    commits = {tag: commit for tag, commit in sorted(dataset.unmerged(None).items()) if is_version_id(tag)}
    draft = dataset.ref(f"refs/heads/{DRAFT}")
    return commits | ({DRAFT: draft} if draft else {})


def contents_of_versions(dataset: Dataset, commits: Mapping[str, str]) -> dict[str, VersionContents]:
    """The annexed files and the Zarrs of each version.

    Raises:
        GitError, DamagedError: git cannot read a tree.
    """
    trees = {version: dataset.tree(commit) for version, commit in commits.items()}
    unique = list(dict.fromkeys(oid for tree in trees.values() for _, oid in _links(tree)))
    with dataset.reader() as reader:
        contents = reader.read(unique, LONGEST_POINTER, b"")
        keys = {oid: key_in(LINK, content or b"") for oid, content in zip(unique, contents, strict=True)}
        return {
            version: VersionContents({path: keys[oid] for path, oid in _links(tree) if keys[oid]}, _zarrs(tree, reader))
            for version, tree in trees.items()
        }


def _links(tree: Tree) -> Iterator[tuple[str, str]]:
    return ((path, oid) for path, (mode, oid) in tree.items() if mode == LINK)


def _zarrs(tree: Tree, reader: ObjectReader) -> dict[str, ZarrModule]:
    if GITMODULES not in tree:
        return {}
    (content,) = reader.read([tree[GITMODULES][1]])
    modules = read_gitmodules(content or b"")
    return {path: module for path, module in modules.items() if path in tree and tree[path][0] == GITLINK}


def files_of_versions(dataset: Dataset, commits: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The annexed files of each version, without its Zarrs: version → path → key; see :func:`contents_of_versions`."""
    return {version: found.files for version, found in contents_of_versions(dataset, commits).items()}


def keys_of_versions(contents: Mapping[str, VersionContents]) -> dict[str, frozenset[str]]:
    """The keys of each version; those of Zarrs are not among them."""
    return {version: frozenset(found.files.values()) for version, found in contents.items()}
