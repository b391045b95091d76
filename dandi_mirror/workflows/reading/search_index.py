"""Bring the search index of a mirror up to date, for the commands and for the interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dandi_mirror.mirror.state.layout import Mirror


def refreshed(mirror: Mirror, doing: Callable[[str, str], None]) -> str:
    """Bring the index up to date; what it lacks all the same, in words, because it cannot be written; else empty.

    Raises:
        DiskError: there is no index, and it cannot be made.
    """
    from dandi_mirror.mirror.search.index import update_index

    fresh = update_index(mirror, doing)
    if not fresh.stale:
        return ""
    names = ", ".join(fresh.stale[:3]) + (f" and {len(fresh.stale) - 3} more" if len(fresh.stale) > 3 else "")
    return f"the search index lacks the newest changes of {names}: {fresh.why}"
