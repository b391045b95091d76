"""Sync for the interface: collect what becomes of each Dandiset; it asks nobody, and prints nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from dandi_mirror.interface.bar import steps
from dandi_mirror.interface.remarks import remarks_as_warnings
from dandi_mirror.mirror.state.options import Progress, silent
from dandi_mirror.model import Report
from dandi_mirror.workflows.sync.sync import SyncRequest, run_sync

if TYPE_CHECKING:
    from dandi_mirror.mirror.fetch.scheduled import Follow


def sync_reports(
    path: Path, dandisets: Sequence[str], flags: Mapping[str, object], *, named: bool, progress: bool = False
) -> list[Report]:
    """Sync as ``dandi-mirror sync`` does; ``named``: whether somebody named the folder of the mirror.
    ``progress``: show what it does now.

    Raises as :func:`.run_sync`.
    """
    reports: list[Report] = []
    with remarks_as_warnings():
        show = steps if progress else _unseen
        run_sync(path, SyncRequest(tuple(dandisets)), flags, reports.append, show=show, named=named)
    return reports


def _unseen() -> AbstractContextManager[tuple[Progress, Follow]]:
    """Nobody follows how the run goes."""
    return nullcontext((silent, lambda step: None))
