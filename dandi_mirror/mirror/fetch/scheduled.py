"""Content that the settings ask for, brought by git-annex after a sync: newest first, within a budget.

The sync is done by then and nothing here undoes it: what does not come is a finding.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256

from dandi_mirror.errors import DiskError, MirrorError
from dandi_mirror.files.own import OwnPath
from dandi_mirror.mirror.contents.selection import pick
from dandi_mirror.mirror.format.record_reader import times
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.state.options import Options
from dandi_mirror.mirror.state.remembered import draft_of
from dandi_mirror.model import Finding, Kind, Report
from dandi_mirror.repo.annex import content
from dandi_mirror.text import redacted


@dataclass(slots=True)
class Wanted:
    """What content to bring, and how much of it."""

    globs: tuple[str, ...] = ()
    """As ``git annex find --include`` takes them; none: no content is brought."""
    each: int | None = None
    """Most bytes for one Dandiset, with what is there already."""
    left: int | None = None
    """Bytes that this run may still bring; spent as it goes."""
    deadline: float | None = None
    """When to end, by ``time.monotonic()``; None: when all is there."""


@dataclass(slots=True)
class _Memory:
    """What was brought for one Dandiset, so that a run with nothing to bring starts no git-annex."""

    path: OwnPath
    done: str = ""
    """The state (see :func:`_state`) for which everything was brought that was to be."""
    findings: tuple[Finding, ...] = field(default=())

    @classmethod
    def of(cls, mirror: Mirror, dandiset: str) -> _Memory:
        """What is remembered; nothing when the file is not there or not ours."""
        path = mirror.own / "content" / f"{dandiset}.json"
        try:
            facts = json.loads(path.read())
            findings = (Finding(version, name, Kind.CONTENT, reason) for version, name, reason in facts["findings"])
            return cls(path, str(facts["done"]), tuple(findings))
        except (OSError, ValueError, KeyError, TypeError):
            return cls(path)

    def write(self) -> None:
        facts = {"done": self.done, "findings": [[f.version, f.path, f.reason] for f in self.findings]}
        try:
            self.path.replace(json.dumps(facts).encode(), to_disk=False)
        except OSError as error:
            raise DiskError(f"{self.path}: {error.strerror}") from error


def missing_content(mirror: Mirror, dandiset: str) -> tuple[Finding, ...]:
    """What did not come when it was asked for the last time."""
    return _Memory.of(mirror, dandiset).findings


def with_content(reports: Iterable[Report], mirror: Mirror, wanted: Wanted, options: Options) -> Iterator[Report]:
    """Reports of a sync as they come, each after its Dandiset's content has been brought and told in it."""
    if not wanted.globs and not options.dry_run:
        # what did not come is waited for no more
        (mirror.own / "content").clear()
    for report in reports:
        if wanted.globs and report.commit and not options.dry_run:
            yield _bring(mirror, report, wanted, options)
        else:
            yield report


@dataclass(slots=True)
class _Count:
    """What has come so far of one Dandiset's content."""

    brought: int = 0
    brought_size: int = 0
    left: int = 0


def _bring(mirror: Mirror, report: Report, wanted: Wanted, options: Options) -> Report:
    memory = _Memory.of(mirror, report.dandiset)
    state = _state(report.commit, wanted)
    if memory.done == state:
        return report
    options.progress(report.dandiset, "getting content")
    before, findings, count = set(memory.findings), list[Finding](), _Count()
    try:
        complete = _get(mirror, report, wanted, options.branch, findings, count)
        memory.done, memory.findings = state if complete and not findings else "", tuple(findings)
        memory.write()
    except Exception as error:
        # whatever it is, the sync stands
        logging.getLogger("dandi_mirror").debug("%s", report.dandiset, exc_info=True)
        reason = str(error) if isinstance(error, MirrorError) else f"unexpected: {type(error).__name__}: {error}"
        findings.append(Finding(options.branch, "", Kind.CONTENT, reason))
    return replace(
        report,
        status="ok" if count.brought else report.status,
        findings=[*report.findings, *findings],
        news=report.news or not before.issuperset(findings),
        exit_code=report.exit_code or (3 if findings else 0),
        **asdict(count),
    )


def _state(commit: str, wanted: Wanted) -> str:
    return sha256(json.dumps([commit, wanted.globs, wanted.each]).encode()).hexdigest()


def _get(mirror: Mirror, report: Report, wanted: Wanted, branch: str, findings: list[Finding], count: _Count) -> bool:
    """Bring what is to be; whether nothing was left for want of the run's own budget."""
    dataset = mirror.dataset(report.dandiset)
    files = content.matching(dataset.path, branch, wanted.globs, here=False)
    room = wanted.each
    if room is not None:
        here = {file.key: file.size for file in content.matching(dataset.path, branch, wanted.globs, here=True)}
        room -= sum(here.values())
    fitting = pick(files, times(dataset, report.commit) if files else {}, room)
    chosen = pick(fitting, {}, wanted.left)
    count.left = len({file.key for file in files}) - len(chosen)
    sizes = {file.key: file for file in chosen}
    then = mirror.index.get(report.dandiset)
    closed = then is not None and draft_of(then.row).embargo_status not in {"", "OPEN"}
    with closing(content.get(dataset.path, sizes, wanted.deadline, secrets=closed)) as answers:
        for key, reason in answers:
            if reason:
                findings.append(Finding(branch, sizes[key].path, Kind.CONTENT, redacted(reason)[:300]))
                continue
            count.brought += 1
            count.brought_size += sizes[key].size
            wanted.left = None if wanted.left is None else wanted.left - sizes[key].size
    return len(chosen) == len(fitting) and count.brought + len(findings) == len(chosen)
