"""What a sync changes in a branch's tree and in a dataset's refs, and whether that is safe: pure functions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from dandi_mirror.errors import UnsafePlan
from dandi_mirror.mirror.format.records import is_asset_path
from dandi_mirror.mirror.format.tree import AnnexLink
from dandi_mirror.mirror.format.unchanged_records import AS_BEFORE
from dandi_mirror.model import is_version_id
from dandi_mirror.paths import conflicts
from dandi_mirror.repo.git.dataset import ALARM, ANNEX, TAGS, TEMPORARY, RefChange
from dandi_mirror.repo.git.stream import GITLINK, TreeEntry

SAFE_REMOVALS = 20
"""So many assets may disappear without a question, however few the mirror has."""
SAFE_SHARE = 0.5
"""Of the mirrored assets, so large a part may disappear without a question."""


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """Changes of one branch's tree; every tuple sorted by path."""

    removed: tuple[str, ...]
    files: tuple[tuple[str, TreeEntry], ...]
    """New or changed."""
    added: tuple[str, ...]
    """Assets among ``files`` whose path is new."""
    changed: tuple[str, ...]
    """Assets among ``files`` whose path was there before."""
    old: Mapping[str, tuple[bytes, str]]
    """The branch's tree now."""

    @property
    def held(self) -> int:
        """How many assets the branch's tree has now."""
        return sum(map(is_asset_path, self.old))

    @property
    def empty(self) -> bool:
        """Whether the tree stays as it is."""
        return not self.removed and not self.files

    @property
    def gone(self) -> tuple[str, ...]:
        """The assets that the plan removes."""
        return tuple(path for path in self.removed if is_asset_path(path))

    def moved(self) -> set[str]:
        """The paths of removed assets whose key, or state of a Zarr, the plan puts at a new path."""
        added = set(self.added)
        zarrs = {entry.object_id() for path, entry in self.files if path in added and entry.mode == GITLINK}
        links = [entry for path, entry in self.files if path in added and isinstance(entry, AnnexLink)]
        gone = {path: self.old[path][1] for path in self.gone}
        # a link's content depends on its depth in the tree, so each is compared at every depth of a removed one
        depths = {path.count("/") for path in gone}
        there = zarrs | {replace(link, depth=depth).object_id() for link in links for depth in depths}
        return {path for path, oid in gone.items() if oid in there}

    def check(self, dandiset: str) -> None:
        """Refuse a plan that would empty much of a mirror: an archive in trouble may list too little without an error.

        Raises:
            UnsafePlan: the plan removes all assets, or over 20 and more than half of them.
        """
        going = len(self.gone)
        if going and going == self.held and not self.added:
            raise UnsafePlan(
                f"{dandiset}: the archive now lists none of {going} mirrored assets; "
                f"if that is meant, run: dandi-mirror sync {dandiset} --allow-deletes"
            )
        if going > SAFE_REMOVALS and going > SAFE_SHARE * self.held:
            going -= len(self.moved())
        if going > SAFE_REMOVALS and going > SAFE_SHARE * self.held:
            raise UnsafePlan(
                f"{dandiset}: the archive now lists {going} of {self.held} mirrored assets no more; "
                f"if that is meant, run: dandi-mirror sync {dandiset} --allow-deletes"
            )


def carried_paths(old: Collection[str], refused: Collection[str], assets: Collection[str]) -> set[str]:
    """The paths of a tree that stay as they are, because the archive's new entries for them are ``refused``.

    Without those that would be in the way of ``assets``, which the listing has, or of each other.
    """
    wanted = {path for path in refused if path in old and is_asset_path(path) and path not in assets}
    return wanted - set(conflicts([*assets, *wanted])) if wanted else wanted


def plan_sync(old: Mapping[str, tuple[bytes, str]], new: Mapping[str, TreeEntry]) -> SyncPlan:
    """Compare a tree as git lists it (path → mode, object id) with the entries that it is to have."""
    removed = tuple(sorted(path for path in old if path not in new))
    files = differing(old, new)
    assets = [path for path, _ in files if is_asset_path(path)]
    return SyncPlan(
        removed,
        files,
        added=tuple(path for path in assets if path not in old),
        changed=tuple(path for path in assets if path in old),
        old=old,
    )


def differing(old: Mapping[str, tuple[bytes, str]], new: Mapping[str, TreeEntry]) -> tuple[tuple[str, TreeEntry], ...]:
    """The entries that an old tree does not have so, sorted by path."""
    looked_at = ((path, entry) for path, entry in new.items() if entry is not AS_BEFORE)
    return tuple(sorted((item for item in looked_at if _differs(old.get(item[0]), item[1])), key=_path))


def _path(item: tuple[str, TreeEntry]) -> str:
    return item[0]


def _differs(then: tuple[bytes, str] | None, entry: TreeEntry) -> bool:
    return then is None or then[0] != entry.mode or then[1] != entry.object_id()


# --- refs ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RefPlan:
    """The refs that a sync moves once its objects are written."""

    changes: tuple[RefChange, ...]
    """In the order in which they move: git-annex, tags and alarms, branch."""
    dropped: tuple[str, ...]
    """Refs that serve no purpose any more."""
    alarms: tuple[str, ...]
    """Versions whose tags differ from what the archive says now."""


def versions_to_merge(versions: Iterable[str], tags: Mapping[str, str], unmerged: Mapping[str, str]) -> dict[str, str]:
    """The versions that the branch's next commit gets as parents, each with a name or id of its commit.

    ``versions`` are those that the sync writes, ``tags`` those that were tagged before it; ``unmerged`` are the tags,
    with their commits, that the branch does not contain.
    """
    late = {name: commit for name, commit in unmerged.items() if is_version_id(name)}
    return late | {name: f"{TEMPORARY}{name}" for name in versions if name not in tags}


def plan_refs(
    refs: Mapping[str, str],
    tags: Mapping[str, str],
    made: Mapping[str, str],
    branch: tuple[str, str | None] | None,
    annex: str | None,
) -> RefPlan:
    """Choose how to move the dataset's ``refs``, among them the temporary ones that the sync has just written.

    ``tags`` are the versions that were tagged before, ``made`` those that the sync has written, each with the id of
    its tag object; ``branch`` is the name and the former commit of the branch, ``annex`` that of git-annex.
    A tag that exists is never moved: the archive's different answer becomes an alarm, which ends when both agree.
    """
    changes, alarms, ended = [], [], []
    if new := refs.get(f"{TEMPORARY}git-annex"):
        changes.append(RefChange(ANNEX, new, annex))
    for name, tag in made.items():
        if name not in tags:
            changes.append(RefChange(f"{TAGS}{name}", tag, None))
        elif tags[name] != tag:
            alarms.append(name)
            changes.append(RefChange(ALARM + name, refs[f"{TEMPORARY}{name}"], refs.get(ALARM + name)))
        elif ALARM + name in refs:
            ended.append(ALARM + name)
    if branch and (new := refs.get(f"{TEMPORARY}{branch[0]}")):
        changes.append(RefChange(f"refs/heads/{branch[0]}", new, branch[1]))
    temporary = [ref for ref in refs if ref.startswith(TEMPORARY)]
    return RefPlan(tuple(changes), (*ended, *temporary), tuple(alarms))
