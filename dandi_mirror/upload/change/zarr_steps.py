"""Carry out the steps of an upload that add or replace Zarrs: each is validated, described, sent and registered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.errors import CredentialsError, DiskError, MirrorError, PartError
from dandi_mirror.files.own import OwnPath
from dandi_mirror.model import RemoteFile
from dandi_mirror.text import quoted
from dandi_mirror.upload.change.plan import UploadStep
from dandi_mirror.upload.change.register import AssetChange, Registered, register_assets
from dandi_mirror.upload.checks import UploadChecks
from dandi_mirror.upload.send.send_zarr import SentZarr, ZarrSender, ZarrTask
from dandi_mirror.upload.send.types import SendContext, SendMeter
from dandi_mirror.upload.zarrs.local import LocalZarr
from dandi_mirror.upload.zarrs.notes import ZarrNotes
from dandi_mirror.upload.zarrs.plan import EntryChanges

AT_ONCE = 4
"""Zarrs that are worked on at a time; their entries share the connections."""


@dataclass(frozen=True, slots=True)
class ZarrsToUpload:
    """The Zarrs of a work tree that an upload may send, and how."""

    read: Mapping[str, LocalZarr] = field(default_factory=dict)
    """By path."""
    changes: Mapping[str, EntryChanges] = field(default_factory=dict)
    """By path; of those that the archive has in another state."""
    wait: float = 600.0
    """Seconds that the archive has to compute a checksum."""


@dataclass(frozen=True, slots=True)
class ZarrContext:
    """What carrying out these steps needs."""

    archive: ArchiveClient
    dandiset: str
    root: Path
    """The top of the work tree."""
    state: Path | OwnPath
    """A folder for notes."""
    theirs: Mapping[str, RemoteFile]
    zarrs: ZarrsToUpload
    describe: Callable[[str], dict[str, object]]
    """The record of the asset at a path."""
    checks: UploadChecks | None
    """None if nothing is validated."""
    jobs: int
    meter: SendMeter


def put_zarrs(
    work: ZarrContext, steps: list[UploadStep]
) -> Iterator[tuple[UploadStep, SentZarr | None, str, MirrorError | None]]:
    """Carry out steps; yields each with what was sent and the id of its asset, or with its error.

    Raises:
        CredentialsError: the archive refuses the API key.
        DiskError: a note cannot be written.
    """
    if not steps:
        return
    means = SendContext(work.archive.session, work.state, work.meter)
    sender = ZarrSender(work.archive, means, work.dandiset, work.jobs, work.zarrs.wait)
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="zarr")
    one = _ZarrStep(work, sender)
    try:
        running = {pool.submit(one.carry_out, step): step for step in steps}
        for done in as_completed(running):
            try:
                sent, asset_id = done.result()
                yield running[done], sent, asset_id, None
            except (CredentialsError, DiskError):
                raise
            except MirrorError as error:
                yield running[done], None, "", error
    finally:
        sender.close()
        pool.shutdown(wait=False, cancel_futures=True)


class _ZarrStep:
    """Carries out one step after the other; several threads may call it."""

    def __init__(self, work: ZarrContext, sender: ZarrSender) -> None:
        self._work = work
        self._sender = sender
        self._notes = ZarrNotes(work.state, work.archive.session.api_url, work.dandiset)
        self._taken = Counter(there.zarr for there in work.theirs.values() if there.zarr)

    def carry_out(self, step: UploadStep) -> tuple[SentZarr, str]:
        """Validate, describe, send and register a Zarr.

        Raises:
            MirrorError: it is not registered; what was sent stays for the next run.
        """
        work, path = self._work, step.path
        if work.checks and (grave := work.checks.errors(path)):
            more = f" and {len(grave) - 1} more" if len(grave) > 1 else ""
            raise PartError(
                f"not valid: {grave[0]['message']}{more}; see them: dandi-mirror validate {quoted(path)}, "
                "or upload it all the same: --validation skip"
            )
        metadata = work.describe(path)
        there, used = self._sender.opened(task := self._task(path))
        with self._notes.changing(there.zarr_id, path):
            sent = self._sender.send(task, there, used)
            return sent, self._registered(AssetChange(metadata, "", step.asset_id, sent.zarr_id))

    def _task(self, path: str) -> ZarrTask:
        known = self._work.theirs.get(path)
        # a Zarr that two assets share must not change for both
        own = known.zarr if known and self._taken[known.zarr] == 1 else ""
        changes = self._work.zarrs.changes.get(path) if own else None
        return ZarrTask(path, self._work.zarrs.read[path], own, changes, self._taken.keys())

    def _registered(self, change: AssetChange) -> str:
        [done] = register_assets(self._work.archive.session, self._work.dandiset, [change], jobs=1)
        if isinstance(done, Registered):
            return done.asset_id
        raise done.error
