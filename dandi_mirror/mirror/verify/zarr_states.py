"""The Zarrs that the commits of a dataset name: gitlinks, ``.gitmodules`` and records must agree."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from dandi_mirror.mirror.verify.differences import Difference, DifferenceKind
from dandi_mirror.mirror.zarr.gitmodules import ZarrModule, gitmodules, read_gitmodules
from dandi_mirror.mirror.zarr.manifests import FOLDER
from dandi_mirror.model import is_version_id
from dandi_mirror.paths import GITMODULES
from dandi_mirror.repo.git.dataset import Dataset, Tree
from dandi_mirror.repo.git.process import git
from dandi_mirror.repo.git.reader import ObjectReader
from dandi_mirror.repo.git.stream import FILE, GITLINK

_CHANGED = re.compile(r"^:.* ([0-9a-f]{40}) [AM]\t", re.M)


class NamedZarrState(NamedTuple):
    """The name of a state."""

    zarr_id: str
    checksum: str
    """DANDI's."""

    @property
    def manifest(self) -> str:
        """Where in a mirror its manifest is."""
        return f"{FOLDER}/{self.zarr_id[:3]}/{self.zarr_id[3:6]}/{self.zarr_id}/{self.checksum}"


def named_states(dataset: Dataset) -> set[NamedZarrState]:
    """The states of Zarrs that any commit of a dataset's branch or versions has named.

    Raises:
        GitError, DamagedError: the dataset cannot be read.
    """
    # what a person or a repair keeps in other refs may name anything
    branches = [ref for ref in ("refs/heads/draft", "refs/heads/published") if dataset.ref(ref)]
    words = ("log", "--tags", *branches, "-m", "--format=", "--raw", "--no-abbrev", "--no-renames", "--", GITMODULES)
    found = sorted(set(_CHANGED.findall(git(dataset.path, *words).decode(errors="replace"))))
    if not found:
        return set()
    with dataset.reader() as reader:
        modules = (module for content in reader.read(found) for module in read_gitmodules(content or b"").values())
        return {NamedZarrState(module.zarr_id, module.checksum) for module in modules}


@dataclass(slots=True)
class ZarrsOfDataset:
    """The states of Zarrs in a dataset's commits."""

    commits: dict[NamedZarrState, dict[str, str]] = field(default_factory=dict)
    """State → the commits that gitlinks have of it, each with the place of such a gitlink: ``draft:sub-1/a.zarr``."""
    branch: tuple[ZarrModule, ...] = ()
    """The Zarrs of the branch."""
    earlier: set[NamedZarrState] = field(default_factory=set)
    """The states that any commit of the dataset has named."""

    def states(self) -> list[NamedZarrState]:
        """All states, sorted."""
        return sorted(self.earlier | self.commits.keys())

    def newest(self) -> dict[str, NamedZarrState]:
        """Zarr → the state that the branch has."""
        return {module.zarr_id: NamedZarrState(module.zarr_id, module.checksum) for module in self.branch}

    def known_commits(self) -> dict[tuple[str, str], str]:
        """State → the commit that a gitlink has of it."""
        return {state: next(iter(commits)) for state, commits in self.commits.items()}

    def check(self, tree: Tree, reader: ObjectReader, checksums: Mapping[str, str], where: str) -> Iterator[Difference]:
        """The differences in a commit, which ``where`` names; ``checksums`` are those in its records, by path."""
        links = {path: oid for path, (mode, oid) in tree.items() if mode == GITLINK}
        (content,) = reader.read([tree[GITMODULES][1]]) if GITMODULES in tree else (b"",)
        modules = {path: module for path, module in read_gitmodules(content or b"").items() if path in links}
        as_written = gitmodules(modules.values())
        if (
            content != as_written
            or (GITMODULES in tree and tree[GITMODULES][0] != FILE)
            or links.keys() - modules.keys()
        ):
            yield Difference(
                DifferenceKind.RECORD, f"{where}:{GITMODULES}", "it does not name the Zarrs as a sync does"
            )
        for path, module in modules.items():
            state = NamedZarrState(module.zarr_id, module.checksum)
            self.commits.setdefault(state, {}).setdefault(links[path], f"{where}:{path}")
            if is_version_id(where) and checksums.get(path, module.checksum) != module.checksum:
                yield Difference(DifferenceKind.RECORD, f"{where}:{path}", "its record names another state of the Zarr")
        if not is_version_id(where):
            self.branch = tuple(modules.values())
