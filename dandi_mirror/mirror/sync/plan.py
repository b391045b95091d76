"""What turns a branch's tree into the archive's, and whether that is safe: pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from dandi_mirror.errors import UnsafePlan
from dandi_mirror.mirror.format.records import is_asset_path
from dandi_mirror.mirror.format.tree import Link
from dandi_mirror.mirror.format.unchanged_records import AS_BEFORE
from dandi_mirror.repo.git.stream import Entry

SAFE_REMOVALS = 20
"""So many assets may go without a question, however few there are."""
SAFE_SHARE = 0.5
"""Of the assets mirrored now, so large a part may go without a question."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Changes of one branch's tree; every tuple sorted by path."""

    removed: tuple[str, ...]
    files: tuple[tuple[str, Entry], ...]
    """New or changed."""
    added: tuple[str, ...]
    """Assets among ``files`` whose path is new."""
    changed: tuple[str, ...]
    """Assets among ``files`` whose path was there."""
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
        """The assets that are removed."""
        return tuple(path for path in self.removed if is_asset_path(path))

    def moved(self) -> set[str]:
        """Those of the gone assets whose link's key stands at a new path."""
        added = set(self.added)
        links = [entry for path, entry in self.files if path in added and isinstance(entry, Link)]
        gone = {path: self.old[path][1] for path in self.gone}
        # a link says how deep it stands, so each is looked for at every depth that a gone one had
        depths = {path.count("/") for path in gone}
        there = {replace(link, depth=depth).object_id() for link in links for depth in depths}
        return {path for path, oid in gone.items() if oid in there}

    def check(self, dandiset: str) -> None:
        """Refuse a plan that would empty much of a mirror, as an outage that answers 200 would ask for.

        Raises:
            UnsafePlan: over 20 assets would go, and they are more than half of those mirrored; or all would.
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


def make_plan(old: Mapping[str, tuple[bytes, str]], new: Mapping[str, Entry]) -> Plan:
    """The plan from a tree as git lists it (path → mode, object id) to the entries it shall have."""
    removed = tuple(sorted(path for path in old if path not in new))
    looked_at = ((path, entry) for path, entry in new.items() if entry is not AS_BEFORE)
    files = tuple(sorted((item for item in looked_at if _differs(old.get(item[0]), item[1])), key=_path))
    assets = [path for path, _ in files if is_asset_path(path)]
    return Plan(
        removed,
        files,
        added=tuple(path for path in assets if path not in old),
        changed=tuple(path for path in assets if path in old),
        old=old,
    )


def _path(item: tuple[str, Entry]) -> str:
    return item[0]


def _differs(then: tuple[bytes, str] | None, entry: Entry) -> bool:
    return then is None or then[0] != entry.mode or then[1] != entry.object_id()
