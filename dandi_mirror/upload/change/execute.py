"""Carrying out a plan: what is refused is never sent, what the archive has is not sent, and deletes come last."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from dandi_mirror.archive.api.uploads import blob_of
from dandi_mirror.archive.http.session import Session
from dandi_mirror.errors import MirrorError, PartError
from dandi_mirror.files.own import OwnPath
from dandi_mirror.model import RemoteFile
from dandi_mirror.repo.git.files import Look
from dandi_mirror.upload.change.plan import Do, Plan, Step, in_order
from dandi_mirror.upload.change.register import Change, Registered, Removal, Unregistered, register
from dandi_mirror.upload.checks import Checks
from dandi_mirror.upload.read.worker import Worker
from dandi_mirror.upload.send.send import send_blobs
from dandi_mirror.upload.send.types import Meter, Sent, Source, Unsent

_COMPUTED = frozenset(
    {"id", "identifier", "access", "path", "contentUrl", "contentSize", "digest", "datePublished", "publishedBy"}
)
"""What the archive says of an asset by itself."""
_LEFT = "left for the next run, as not all before it went well"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one step."""

    step: Step
    status: str = "ok"
    """DataLad's words: ``ok``, ``notneeded``, ``impossible``, ``error``."""
    message: str = ""
    exit_code: int = 0
    asset_id: str = ""
    """Of the asset that is there now."""
    sha256: str = ""
    size: int = 0
    """Bytes."""
    sent: int = 0
    """Bytes that were sent for it by this run."""
    seen: Look | None = None
    """How the file looked when its digests were taken; None if it was not read."""


@dataclass(slots=True)
class Work:
    """What an upload needs besides its plan."""

    session: Session
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
    meter: Meter | None = None
    _blobs: dict[str, str] = field(default_factory=dict)

    def blob(self, sha256: str) -> str:
        """The blob with a digest, if the archive has it; empty if not."""
        if not self._blobs:
            self._blobs = {there.sha256: there.blob for there in self.theirs.values() if there.sha256 and there.blob}
        if sha256 and sha256 not in self._blobs:
            found = blob_of(self.session, sha256=sha256)
            self._blobs[sha256] = found.blob_id if found else ""
        return self._blobs.get(sha256, "")


def carry_out(work: Work, plan: Plan) -> Iterator[Outcome]:
    """Do what a plan says, and tell of each step what became of it.

    Raises:
        CredentialsError: the archive does not take the token (any more).
        DiskError: what has arrived cannot be noted.
    """
    early, renames, puts, late = in_order(plan)
    failed = False
    for group in (_removals(early), _renames(work, renames), _puts(work, puts)):
        for outcome in group(work):
            failed |= outcome.exit_code != 0
            yield outcome
    if failed:
        yield from (Outcome(step, "impossible", _LEFT, PartError.exit_code) for step in late)
    else:
        yield from _removals(late)(work)


_Group = Callable[[Work], Iterator[Outcome]]


def _removals(steps: Iterable[Step]) -> _Group:
    by_path = {step.path: step for step in steps}
    return lambda work: _registered(work, by_path, [Removal(step.asset_id, path) for path, step in by_path.items()], {})


def _renames(work: Work, steps: list[Step]) -> _Group:
    by_path = {step.path: step for step in steps}
    changes = [
        Change(_record(work, step), work.theirs[step.old].blob or work.blob(step.sha256), step.asset_id)
        for step in steps
    ]
    return lambda work: _registered(work, by_path, changes, {})


def _registered(
    work: Work, steps: Mapping[str, Step], changes: Iterable[Change | Removal], sent: Mapping[str, Sent]
) -> Iterator[Outcome]:
    for done in register(work.session, work.dandiset, changes, jobs=work.jobs):
        step = steps[done.change.path]
        if isinstance(done, Registered):
            facts = sent.get(step.path)
            yield Outcome(
                step, asset_id=done.asset_id, sha256=facts.sha256 if facts else step.sha256,
                size=facts.size if facts else step.size, sent=facts.bytes_sent if facts else 0,
                seen=facts.seen if facts else None,
            )  # fmt: skip
        else:
            assert isinstance(done, Unregistered)
            yield _failed(step, done.error)


def _puts(work: Work, steps: list[Step]) -> _Group:
    return lambda work: _Puts(work, steps).outcomes()


class _Puts:
    """Files that are added or replace others: validated, sent, described, registered; each as soon as it can be."""

    def __init__(self, work: Work, steps: list[Step]) -> None:
        self._work = work
        self._steps = {step.path: step for step in steps}
        self._sent: dict[str, Sent] = {}
        self._failed: list[Outcome] = []
        self._checks = Checks(work.worker, work.root)

    def outcomes(self) -> Iterator[Outcome]:
        yield from _registered(self._work, self._steps, self._changes(), self._sent)
        yield from self._failed

    def _changes(self) -> Iterator[Change]:
        """What is to be registered, as it becomes known; what fails on the way is kept."""
        with ThreadPoolExecutor(self._work.jobs, thread_name_prefix="describe") as pool:
            described: list[Future[Change | None]] = []
            for sent in send_blobs(
                self._work.session, self._sources(pool, described), self._work.state,
                jobs=self._work.jobs, meter=self._work.meter,
            ):  # fmt: skip
                step = self._steps[sent.source.path]
                if isinstance(sent, Unsent):
                    self._failed.append(_failed(step, sent.error))
                    continue
                self._sent[step.path] = sent
                described.append(pool.submit(self._told, step, self._described, step, sent))
                yield from _results(described)
            yield from filter(None, (future.result() for future in as_completed(described)))

    def _sources(self, pool: ThreadPoolExecutor, described: list[Future[Change | None]]) -> list[Source]:
        """The files whose bytes are to be looked at; the others are described at once."""
        looked: list[tuple[Step, Future[bool | None]]] = []
        for step in self._steps.values():
            file = self._work.files.get(step.path)
            if file is None or (step.sha256 in self._work.records and self._work.blob(step.sha256)):
                described.append(pool.submit(self._told, step, self._without_bytes, step))
            else:
                looked.append((step, pool.submit(self._told, step, self._is_valid, step)))
        return [self._source(step) for step, future in looked if future.result()]

    def _source(self, step: Step) -> Source:
        file = self._work.files[step.path]
        return Source(file, step.path, self._work.dandiset, step.sha256)

    def _told(self, step: Step, do: Callable[..., object], *arguments: object):  # type: ignore[no-untyped-def]
        """What ``do`` gives; None where it failed, which is kept."""
        try:
            return do(*arguments)
        except MirrorError as error:
            self._failed.append(_failed(step, error))
            return None

    def _is_valid(self, step: Step) -> bool:
        if not self._work.validate:
            return True
        if grave := self._checks.errors(step.path):
            more = f" and {len(grave) - 1} more" if len(grave) > 1 else ""
            raise PartError(
                f"not valid: {grave[0]['message']}{more}; see them: dandi-mirror validate {step.path}, "
                "or upload it all the same: --validation skip"
            )
        return True

    def _without_bytes(self, step: Step) -> Change:
        """What has its bytes in the archive, and a record in the draft to be described by."""
        blob = self._work.blob(step.sha256)
        if not blob or step.sha256 not in self._work.records:
            what = "nor does the archive have it" if not blob else "and no file of the draft or a version describes it"
            raise PartError(f"its content is not here, {what}; get it first: dandi-mirror get {step.path}")
        return Change(_record(self._work, step), blob, step.asset_id)

    def _described(self, step: Step, sent: Sent) -> Change:
        digests = {"dandi:dandi-etag": sent.etag, "dandi:sha2-256": sent.sha256}
        metadata = self._work.worker().asset_metadata(
            self._work.root / step.path, step.path, self._work.root, digests, self._work.schema_version
        )
        return Change(metadata, sent.blob, step.asset_id)


def _results(futures: list[Future[Change | None]]) -> Iterator[Change]:
    """What is there by now; it is taken out of the list."""
    for future in [future for future in futures if future.done()]:
        futures.remove(future)
        if change := future.result():
            yield change


def _record(work: Work, step: Step) -> dict[str, object]:
    """The record of an asset whose bytes the draft has or had, at its new path."""
    known = work.records[step.sha256]
    return {key: value for key, value in known.items() if key not in _COMPUTED} | {"path": step.path}


def _failed(step: Step, error: MirrorError) -> Outcome:
    return Outcome(step, "error", str(error), error.exit_code)


def untouched(plan: Plan, named: Callable[[str], bool] = lambda path: False) -> Iterator[Outcome]:
    """What is told of the steps that ask for nothing, or for what cannot be.

    What is left out is a failure only where it was ``named``.
    """
    for step in plan.of(Do.LEFT):
        status, code = ("impossible", PartError.exit_code) if named(step.path) else ("notneeded", 0)
        yield Outcome(step, status, step.reason, code)
    for step in plan.of(Do.DONE):
        yield Outcome(step, "notneeded", asset_id=step.asset_id, sha256=step.sha256, size=step.size)
    for step in plan.of(Do.REFUSED):
        yield Outcome(step, "impossible", step.reason, PartError.exit_code)
