"""Record a run of sync for people who monitor the mirror: its log, and the file for Prometheus, even if it fails."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import click

from dandi_mirror import __version__
from dandi_mirror.archive.http.session import Session
from dandi_mirror.config import Settings
from dandi_mirror.errors import DiskError, MirrorError, UsageError
from dandi_mirror.files.own import OwnPath
from dandi_mirror.mirror.monitor.metrics import LastSuccess, RunFacts, prometheus_text, write_metrics
from dandi_mirror.mirror.monitor.run_log import RunLog
from dandi_mirror.mirror.monitor.status import words, zarr_totals
from dandi_mirror.mirror.state.damage import held_dandisets
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.model import Report
from dandi_mirror.text import plain
from dandi_mirror.workflows.sync.reports import report_record
from dandi_mirror.workflows.terminal import say

STATUSES = ("ok", "notneeded", "impossible", "error")


@contextmanager
def watched(mirror: Mirror, settings: Settings, asked: Mapping[str, object], dry_run: bool) -> Iterator[Watch]:
    """Record the run in this block; ``asked`` is what somebody asked for.  A dry run leaves nothing.

    Raises:
        UsageError: the folder of the file for Prometheus does not exist, or nothing reads a file of its name.
    """
    first = {"release": __version__, "instance": settings.instance, "versions": settings.versions, **asked}
    metrics = Path(settings.metrics).absolute() if settings.metrics else None
    if metrics and metrics.suffix != ".prom":
        raise UsageError(f"{metrics}: node_exporter reads names in .prom only; call it {metrics.with_suffix('.prom')}")
    if metrics and not metrics.parent.is_dir():
        raise UsageError(f"{metrics.parent} is not a folder, so no metrics can be written there; make it first")
    watch = Watch(mirror, RunLog(mirror.own / "log", settings.keep_runs, first), metrics)
    watch.seen = LastSuccess.read(mirror.own / "log" / "seen.json")
    if dry_run:
        yield watch
        return
    watch.writes = True
    try:
        yield watch
    except BaseException as error:
        watch.end(error)
        raise
    watch.end(None)


@dataclass(slots=True)
class Watch:
    """The facts of a run while it goes on; the run adds them."""

    mirror: Mirror
    log: RunLog
    metrics: Path | None
    session: Session | None = None
    left_out: frozenset[str] = frozenset()
    """Dandisets of the mirror that the rules leave out, so that nobody waits for them."""
    code: int = 0
    """The exit code of the run."""
    writes: bool = False
    """Whether the run may write anything: it is not a dry run."""
    troubled: bool = False
    """Whether the disk failed; it is reported once."""
    began: float = field(default_factory=time.time)
    waiting: list[tuple[dict[str, object], bool]] = field(default_factory=list)
    """Records for the log, each with whether it is news, until it is clear that the run is not refused as a whole."""
    refused: bool = True
    """Whether every report so far says that the request cannot be fulfilled; then nothing is written."""
    counts: Counter[str] = field(default_factory=Counter)
    content: int = 0
    rescued: int = 0
    not_rescued: int = 0
    seen: LastSuccess = field(default_factory=LastSuccess)

    def add(self, report: Report) -> None:
        """Note what became of one Dandiset."""
        if not self.writes:
            return
        self.counts[report.status] += 1
        self.refused = self.refused and report.exit_code == UsageError.exit_code
        self.content += report.brought_size
        self.rescued += report.rescued
        self.not_rescued += report.not_rescued
        self.troubled = self.troubled or report.exit_code == DiskError.exit_code
        if report.status in {"ok", "notneeded"}:
            self.seen.dandisets[report.dandiset] = time.time()
        if report.deferred:
            return  # nothing became of it, and a first run may leave thousands
        said = report.status != "notneeded" or bool(report.message) or report.news
        if (said or report.exit_code) and self.mirror.own.is_folder():
            record = report_record(report, self.mirror.path, dry_run=False)
            self.waiting.append((record, said))
        if not self.refused:
            # only now: a run that is refused as a whole leaves nothing
            waiting, self.waiting = self.waiting, []
            for record, news in waiting:
                self._try(partial(self.log.add, record, news=news), self._folder)

    def end(self, error: BaseException | None) -> None:
        """Write everything; ``error`` is what ended the run early, if it did."""
        ended = time.time()
        if error is not None:
            self.code = _code(error)
            self.troubled = self.troubled or isinstance(error, DiskError)
        elif not self.counts["error"] + self.counts["impossible"]:
            self.seen.success = ended
        seconds, session = round(ended - self.began, 3), self.session
        requests, received = (session.requests, session.received) if session else (0, 0)
        content = (self.content, self.rescued, self.not_rescued)
        run = RunFacts(ended, seconds, self.code, requests, received, *content, self._statuses())
        if not self._is_refused(error):
            self._try(lambda: self._leave(run, error), self.mirror.own)
        if self.troubled and self.code not in {1, 7}:
            self.code = DiskError.exit_code

    def _is_refused(self, error: BaseException | None) -> bool:
        """Whether the run never began, for example in a folder that is not a mirror; then it writes nothing."""
        if error is not None:
            return isinstance(error, UsageError) and self.refused
        return self.refused and bool(self.counts)

    def _leave(self, run: RunFacts, error: BaseException | None) -> None:
        if self.mirror.own.is_folder():
            self._try(lambda: self._remember(run, error), self._folder)
        if self.metrics:
            self._try(lambda: self._tell(run), self.metrics)

    def _statuses(self) -> dict[str, int]:
        return {status: self.counts[status] for status in STATUSES}

    def _remember(self, run: RunFacts, error: BaseException | None) -> None:
        here = set(held_dandisets(self.mirror)) - self.left_out
        self.seen.dandisets = {name: when for name, when in self.seen.dandisets.items() if name in here}
        (self.mirror.own / "log" / "seen.json").replace(self.seen.as_json())
        summary = {
            "action": "summary",
            "status": "ok" if run.exit_code == 0 else "error",
            **self.counts,
            "exit_code": run.exit_code,
            "message": _message(error) if error else "",
            "ended": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(run.ended)),
            "seconds": run.seconds,
            "requests": run.requests,
            "received": run.received,
            "content": run.content,
        }
        self.log.end(summary, failed=error is not None)

    def _tell(self, run: RunFacts) -> None:
        assert self.metrics
        verified = self.mirror.verifications.read()
        counted, zarrs = words(self.mirror), zarr_totals(self.mirror)
        text = prometheus_text(str(self.mirror.path), run, self.seen, counted, verified, zarrs)
        write_metrics(self.metrics, text)

    @property
    def _folder(self) -> OwnPath:
        return self.mirror.own / "log"

    def _try(self, write: Callable[[], None], place: object) -> None:
        """Write something at a place; if that fails, say so once, count it as a failure of the disk, and go on."""
        try:
            write()
        except (DiskError, OSError) as error:
            said = str(error) if isinstance(error, DiskError) else str(DiskError.of(place, error))
            if not self.troubled:
                say(f"dandi-mirror: the log or the metrics of this run could not be written: {plain(said)}", err=True)
            self.troubled = True


def _message(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return "interrupted"
    return plain(str(error) or type(error).__name__)


def _code(error: BaseException) -> int:
    """Return the exit code that the process is going to have after an error."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return 130
    return error.exit_code if isinstance(error, MirrorError) else 1
