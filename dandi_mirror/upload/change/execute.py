"""Carry out an upload plan: send only what the archive lacks, never what is refused, and delete last."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path

from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.archive.api.dandiset_changes import asset_record
from dandi_mirror.archive.api.uploads import blob_of
from dandi_mirror.digests import ETAG, SHA256
from dandi_mirror.errors import MirrorError, PartError
from dandi_mirror.files.own import OwnPath
from dandi_mirror.model import RemoteFile
from dandi_mirror.repo.git.files import FileStamp
from dandi_mirror.text import quoted
from dandi_mirror.upload.change.plan import Action, UploadPlan, UploadStep, in_order
from dandi_mirror.upload.change.register import AssetChange, AssetRemoval, Registered, Unregistered, register_assets
from dandi_mirror.upload.change.zarr_steps import ZarrContext, ZarrsToUpload, put_zarrs
from dandi_mirror.upload.checks import UploadChecks
from dandi_mirror.upload.read.worker import Worker
from dandi_mirror.upload.send.send_files import send_blobs
from dandi_mirror.upload.send.types import SendMeter, Sent, SourceFile, Unsent

_COMPUTED = frozenset(
    {"id", "identifier", "access", "path", "contentUrl", "contentSize", "digest", "datePublished", "publishedBy"}
)
"""Fields of an asset's record that the archive sets itself."""
_LEFT = "left for the next run, as not all before it went well"


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """The outcome of one step."""

    step: UploadStep
    status: str = "ok"
    """DataLad's words: ``ok``, ``notneeded``, ``impossible``, ``error``."""
    message: str = ""
    exit_code: int = 0
    asset_id: str = ""
    """Of the asset that is there now."""
    digest: str = ""
    """The SHA-256; of a Zarr, its checksum."""
    size: int = 0
    """Bytes."""
    sent: int = 0
    """Bytes that were sent for it by this run."""
    seen: FileStamp | None = None
    """How the file looked when its digests were taken; None if it was not read."""


@dataclass(slots=True)
class UploadContext:
    """What carrying out a plan needs."""

    archive: ArchiveClient
    dandiset: str
    root: Path
    """The top of the work tree."""
    state: Path | OwnPath
    """A folder for what has arrived of each file."""
    files: Mapping[str, Path]
    """Where the bytes of each path are, if they are here."""
    theirs: Mapping[str, RemoteFile]
    records: Mapping[str, Mapping[str, object]]
    """The metadata of an asset for each digest that the draft has, or had."""
    schema_version: str
    worker: Callable[[], Worker]
    validate: bool = True
    jobs: int = 6
    meter: SendMeter | None = None
    zarrs: ZarrsToUpload = field(default_factory=ZarrsToUpload)
    doing: Callable[[str], None] = lambda words: None
    """Called with what is being done."""
    _blobs: dict[str, str] = field(default_factory=dict)

    def blob(self, sha256: str) -> str:
        """The id of the blob with a digest; empty if the archive does not have it."""
        if not self._blobs:
            self._blobs = {there.sha256: there.blob for there in self.theirs.values() if there.sha256 and there.blob}
        if sha256 and sha256 not in self._blobs:
            found = blob_of(self.archive.session, sha256=sha256)
            self._blobs[sha256] = found.blob_id if found else ""
        return self._blobs.get(sha256, "")


def carry_out_plan(work: UploadContext, plan: UploadPlan) -> Iterator[StepOutcome]:
    """Carry out a plan; yields the outcome of each step.

    Raises:
        CredentialsError: the archive refuses the API key.
        DiskError: a journal cannot be written.
    """
    early, renames, puts, late = in_order(plan)
    failed = False
    files, zarrs = ([step for step in puts if step.zarr is zarr] for zarr in (False, True))
    for outcome in chain(
        _remove(work, early), _rename(work, renames), _Puts(work, files).outcomes(), _put_zarrs(work, zarrs)
    ):
        failed |= outcome.exit_code != 0
        yield outcome
    if failed:
        yield from (StepOutcome(step, "impossible", _LEFT, PartError.exit_code) for step in late)
    else:
        yield from _remove(work, late)


def _remove(work: UploadContext, steps: Iterable[UploadStep]) -> Iterator[StepOutcome]:
    by_path = {step.path: step for step in steps}
    return _registered(work, by_path, [AssetRemoval(step.asset_id, path) for path, step in by_path.items()], {})


def _rename(work: UploadContext, steps: list[UploadStep]) -> Iterator[StepOutcome]:
    by_path = {step.path: step for step in steps}
    yield from _registered(work, by_path, [_renamed(work, step) for step in steps], {})


def _renamed(work: UploadContext, step: UploadStep) -> AssetChange:
    old = work.theirs[step.old]
    if step.zarr:
        known = asset_record(work.archive.session, step.asset_id)  # its chunks may not be here
        return AssetChange(_moved_record(known, step.path), "", step.asset_id, old.zarr)
    return AssetChange(_record(work, step), old.blob or work.blob(step.digest), step.asset_id)


def _zarr_record(work: UploadContext, path: str) -> dict[str, object]:
    return work.worker().asset_metadata(work.root / path, path, work.root, {}, work.schema_version)


def _put_zarrs(work: UploadContext, steps: list[UploadStep]) -> Iterator[StepOutcome]:
    context = ZarrContext(
        work.archive, work.dandiset, work.root, work.state, work.theirs, work.zarrs, partial(_zarr_record, work),
        UploadChecks(work.worker, work.root) if work.validate else None, work.jobs, work.meter or SendMeter(),
    )  # fmt: skip
    for step, sent, asset_id, error in put_zarrs(context, steps):
        if error:
            yield _failed(step, error)
        else:
            sent_bytes = sent.bytes_sent if sent else 0
            yield StepOutcome(step, asset_id=asset_id, digest=step.digest, size=step.size, sent=sent_bytes)


def _registered(
    work: UploadContext,
    steps: Mapping[str, UploadStep],
    changes: Iterable[AssetChange | AssetRemoval],
    sent: Mapping[str, Sent],
) -> Iterator[StepOutcome]:
    for done in register_assets(work.archive.session, work.dandiset, changes, jobs=work.jobs):
        step = steps[done.change.path]
        if isinstance(done, Registered):
            facts = sent.get(step.path)
            yield StepOutcome(
                step, asset_id=done.asset_id, digest=facts.sha256 if facts else step.digest,
                size=facts.size if facts else step.size, sent=facts.bytes_sent if facts else 0,
                seen=facts.seen if facts else None,
            )  # fmt: skip
        else:
            assert isinstance(done, Unregistered)
            yield _failed(step, done.error)


class _Puts:
    """Files that are added or replace others: validated, sent, described, registered; each as soon as it can be."""

    def __init__(self, work: UploadContext, steps: list[UploadStep]) -> None:
        self._work = work
        self._steps = {step.path: step for step in steps}
        self._sent: dict[str, Sent] = {}
        self._failed: list[StepOutcome] = []
        self._checks = UploadChecks(work.worker, work.root)

    def outcomes(self) -> Iterator[StepOutcome]:
        yield from _registered(self._work, self._steps, self._changes(), self._sent)
        yield from self._failed

    def _changes(self) -> Iterator[AssetChange]:
        """What is to be registered, as it becomes known; what fails on the way is kept."""
        with ThreadPoolExecutor(self._work.jobs, thread_name_prefix="describe") as pool:
            try:
                yield from self._changes_by(pool)
            except (KeyboardInterrupt, GeneratorExit):
                # else the end would wait until every file is read
                pool.shutdown(wait=False, cancel_futures=True)
                self._work.worker().stop()
                raise

    def _changes_by(self, pool: ThreadPoolExecutor) -> Iterator[AssetChange]:
        described: list[Future[AssetChange | None]] = []
        for sent in send_blobs(
            self._work.archive.session, self._sources(pool, described), self._work.state,
            jobs=self._work.jobs, meter=self._work.meter,
        ):  # fmt: skip
            step = self._steps[sent.source.path]
            if isinstance(sent, Unsent):
                self._failed.append(_failed(step, sent.error))
                continue
            self._sent[step.path] = sent
            described.append(pool.submit(self._told, step, self._described, step, sent))
            yield from _results(described)
        self._work.doing("registering")
        yield from filter(None, (future.result() for future in as_completed(described)))

    def _sources(self, pool: ThreadPoolExecutor, described: list[Future[AssetChange | None]]) -> list[SourceFile]:
        """The files whose bytes are to be looked at; the others are described at once."""
        looked: list[tuple[UploadStep, Future[bool | None]]] = []
        for step in self._steps.values():
            file = self._work.files.get(step.path)
            if file is None or (step.digest in self._work.records and self._work.blob(step.digest)):
                described.append(pool.submit(self._told, step, self._without_bytes, step))
            else:
                looked.append((step, pool.submit(self._told, step, self._is_valid, step)))
        if looked and self._work.validate:
            self._work.doing("checking")
        valid = [self._source(step) for step, future in looked if future.result()]
        self._work.doing("sending")
        return valid

    def _source(self, step: UploadStep) -> SourceFile:
        file = self._work.files[step.path]
        return SourceFile(file, step.path, self._work.dandiset, step.digest)

    def _told(self, step: UploadStep, do: Callable[..., object], *arguments: object):  # type: ignore[no-untyped-def]
        """What ``do`` gives; None where it failed, which is kept."""
        try:
            return do(*arguments)
        except MirrorError as error:
            self._failed.append(_failed(step, error))
            return None

    def _is_valid(self, step: UploadStep) -> bool:
        if not self._work.validate:
            return True
        if grave := self._checks.errors(step.path):
            more = f" and {len(grave) - 1} more" if len(grave) > 1 else ""
            raise PartError(
                f"not valid: {grave[0]['message']}{more}; see them: dandi-mirror validate {quoted(step.path)}, "
                "or upload it all the same: --validation skip"
            )
        return True

    def _without_bytes(self, step: UploadStep) -> AssetChange:
        """What has its bytes in the archive, and a record in the draft to be described by."""
        blob = self._work.blob(step.digest)
        if not blob or step.digest not in self._work.records:
            what = "nor does the archive have it" if not blob else "and no file of the draft or a version describes it"
            raise PartError(f"its content is not here, {what}; get it first: dandi-mirror get {quoted(step.path)}")
        return AssetChange(_record(self._work, step), blob, step.asset_id)

    def _described(self, step: UploadStep, sent: Sent) -> AssetChange:
        digests = {ETAG: sent.etag, SHA256: sent.sha256}
        metadata = self._work.worker().asset_metadata(
            self._work.root / step.path, step.path, self._work.root, digests, self._work.schema_version
        )
        return AssetChange(metadata, sent.blob, step.asset_id)


def _results(futures: list[Future[AssetChange | None]]) -> Iterator[AssetChange]:
    """What is there by now; it is taken out of the list."""
    for future in [future for future in futures if future.done()]:
        futures.remove(future)
        if change := future.result():
            yield change


def _record(work: UploadContext, step: UploadStep) -> dict[str, object]:
    """The record of an asset whose bytes the draft has or had, at its new path."""
    return _moved_record(work.records[step.digest], step.path)


def _moved_record(known: Mapping[str, object], path: str) -> dict[str, object]:
    return {key: value for key, value in known.items() if key not in _COMPUTED} | {"path": path}


def _failed(step: UploadStep, error: MirrorError) -> StepOutcome:
    return StepOutcome(step, "error", str(error), error.exit_code)


def outcomes_without_work(plan: UploadPlan, named: Callable[[str], bool] = lambda path: False) -> Iterator[StepOutcome]:
    """What is told of the steps that ask for nothing, or for what cannot be.

    What is left out is a failure only where it was ``named``.
    """
    for step in plan.of(Action.LEFT):
        status, code = ("impossible", PartError.exit_code) if named(step.path) else ("notneeded", 0)
        yield StepOutcome(step, status, step.reason, code)
    for step in plan.of(Action.DONE):
        yield StepOutcome(step, "notneeded", asset_id=step.asset_id, digest=step.digest, size=step.size)
    for step in plan.of(Action.REFUSED):
        yield StepOutcome(step, "impossible", step.reason, PartError.exit_code)
