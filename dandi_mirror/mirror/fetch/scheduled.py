"""Download the content that the settings ask for, after a sync, by git-annex: newest first, within a size limit.

The sync is complete by then, and nothing here changes its result: a file that cannot be downloaded becomes a finding.
"""

from __future__ import annotations

import json
import logging
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256

from dandi_mirror.errors import DiskError, MirrorError
from dandi_mirror.files.own import OwnPath
from dandi_mirror.mirror.contents.selection import pick_within
from dandi_mirror.mirror.format.record_reader import times
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.state.options import Options
from dandi_mirror.mirror.state.remembered import draft_of
from dandi_mirror.model import Finding, FindingKind, Report
from dandi_mirror.repo.annex import content
from dandi_mirror.repo.annex.content import AnnexedFile
from dandi_mirror.repo.annex.settings import ADDRESSES
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.text import counted, redacted


@dataclass(slots=True)
class ContentRules:
    """Which content to download after a sync, and how much of it."""

    globs: tuple[str, ...] = ()
    """Globs as ``git annex find --include`` takes them; empty downloads no content."""
    each: int | None = None
    """Most bytes for one Dandiset, including content that is present already; None for no limit."""
    left: int | None = None
    """Bytes that this run may still download; it counts down. None for no limit."""
    deadline: float | None = None
    """When to end, by ``time.monotonic()``; None for no time limit."""
    named: bool = False
    """Whether somebody named the Dandisets: then it is said if nothing matches in one."""


@dataclass(frozen=True, slots=True)
class ContentProgress:
    """How far the content of one Dandiset has come."""

    dandiset: str
    path: str = ""
    """The current file; empty: all is done."""
    files_done: int = 0
    files: int = 0
    done: int = 0
    """Bytes."""
    size: int = 0
    """Bytes of all files."""


Follow = Callable[[ContentProgress], None]


@dataclass(slots=True)
class _Memory:
    """What was downloaded for one Dandiset, so that a run with nothing to download does not start git-annex."""

    path: OwnPath
    done: str = ""
    """The state (see :func:`_state`) for which the download was complete."""
    matched: bool = True
    """Whether a file of that state matched."""
    findings: tuple[Finding, ...] = field(default=())

    @classmethod
    def of(cls, mirror: Mirror, dandiset: str) -> _Memory:
        """Read the file; empty if it is missing or not readable."""
        path = mirror.own / "content" / f"{dandiset}.json"
        try:
            facts = json.loads(path.read())
            findings = (
                Finding(version, name, FindingKind.CONTENT, reason) for version, name, reason in facts["findings"]
            )
            return cls(path, str(facts["done"]), facts.get("matched") is not False, tuple(findings))
        except (OSError, ValueError, KeyError, TypeError):
            return cls(path)

    def write(self) -> None:
        """Write the file.

        Raises:
            DiskError: it cannot be written.
        """
        facts: dict[str, object] = {"done": self.done, "matched": self.matched}
        facts |= {"findings": [[f.version, f.path, f.reason] for f in self.findings]}
        try:
            self.path.replace(json.dumps(facts).encode(), to_disk=False)
        except OSError as error:
            raise DiskError.of(self.path, error) from error


def missing_content(mirror: Mirror, dandiset: str) -> tuple[Finding, ...]:
    """Return the files that the last run could not download."""
    return _Memory.of(mirror, dandiset).findings


def with_content(
    reports: Iterable[Report],
    mirror: Mirror,
    rules: ContentRules,
    options: Options,
    follow: Follow = lambda progress: None,
) -> Iterator[Report]:
    """Yield the reports of a sync, each with the result of downloading its Dandiset's content.

    ``follow`` is called often during the downloads.
    """
    if not rules.globs and not options.dry_run:
        # the settings ask for no content any more, so nothing is missing
        (mirror.own / "content").clear()
    for report in reports:
        if rules.globs and report.commit and not options.dry_run:
            report = _add_content(mirror, report, rules, options, follow)
            follow(ContentProgress(report.dandiset))
        yield report


@dataclass(slots=True)
class _Count:
    """The content that has been downloaded so far for one Dandiset."""

    brought: int = 0
    brought_size: int = 0
    left: int = 0


def _add_content(mirror: Mirror, report: Report, rules: ContentRules, options: Options, follow: Follow) -> Report:
    """Download the content of a Dandiset; return its report with the result."""
    memory = _Memory.of(mirror, report.dandiset)
    state = _state(report.commit, rules)
    if memory.done == state:
        return report if memory.matched else _nothing_matches(report, rules)
    options.progress(report.dandiset, "getting content")
    before, findings, count = set(memory.findings), list[Finding](), _Count()
    try:
        complete = _get(mirror, report, rules, options.branch, findings, count, follow)
        memory.done, memory.findings = state if complete and not findings else "", tuple(findings)
        some = not complete or count.brought or count.left or findings
        memory.matched = bool(some) or _matches(mirror, report, rules, options)
        memory.write()
    except Exception as error:
        # whatever happens here, the sync itself has succeeded
        logging.getLogger("dandi_mirror").debug("%s", report.dandiset, exc_info=True)
        reason = str(error) if isinstance(error, MirrorError) else f"unexpected: {type(error).__name__}: {error}"
        findings.append(Finding(options.branch, "", FindingKind.CONTENT, reason))
    return replace(
        report if memory.matched else _nothing_matches(report, rules),
        status="ok" if count.brought else report.status,
        findings=[*report.findings, *findings],
        news=report.news or not before.issuperset(findings),
        exit_code=report.exit_code or (3 if findings else 0),
        **asdict(count),
    )


def _matches(mirror: Mirror, report: Report, rules: ContentRules, options: Options) -> bool:
    """Whether a file matches whose content is here."""
    return bool(content.matching(mirror.dataset(report.dandiset).path, options.branch, rules.globs, here=True))


def _nothing_matches(report: Report, rules: ContentRules) -> Report:
    """Return the report, and in it, if somebody named the Dandiset, that no file is as the globs say."""
    globs = " or ".join(map(shlex.quote, rules.globs))
    look = f"dandi-mirror ls {report.dandiset}"
    said = f"no file matches --get {globs}, so no content came; see which files there are: {look}"
    message = f"{report.message}; {said}" if report.message else said
    return replace(report, message=message) if rules.named else report


def _state(commit: str, rules: ContentRules) -> str:
    """Return a digest of all that decides which content is downloaded."""
    return sha256(json.dumps([commit, rules.globs, rules.each]).encode()).hexdigest()


def _get(
    mirror: Mirror,
    report: Report,
    rules: ContentRules,
    branch: str,
    findings: list[Finding],
    count: _Count,
    follow: Follow,
) -> bool:
    """Download content; return False if some was left out because the run's own limit was reached."""
    dataset = mirror.dataset(report.dandiset)
    files = content.matching(dataset.path, branch, rules.globs, here=False)
    room = _room(dataset, branch, rules)
    fitting = pick_within(files, times(dataset, report.commit) if files else {}, room)
    chosen = pick_within(fitting, {}, rules.left)
    count.left = len({file.key for file in files}) - len(chosen)
    sizes = {file.key: file for file in chosen}
    then = mirror.index.get(report.dandiset)
    closed = then is not None and draft_of(then.entry).embargo_status not in {"", "OPEN"}
    refused = Counter[str]()
    bar = _Bar(report.dandiset, list(sizes.values()), follow)
    arrived = bar.arrived
    with closing(content.get(dataset.path, sizes, rules.deadline, secrets=closed, arrived=arrived)) as answers:
        for key, reason in answers:
            bar.next(came=not reason)
            if address := content.refused_address(reason):
                refused[address] += 1
                continue
            if reason:
                findings.append(Finding(branch, sizes[key].path, FindingKind.CONTENT, redacted(reason)[:300]))
                continue
            count.brought += 1
            count.brought_size += sizes[key].size
            rules.left = None if rules.left is None else rules.left - sizes[key].size
    findings += [Finding(branch, "", FindingKind.CONTENT, _not_allowed(*one)) for one in refused.items()]
    return len(chosen) == len(fitting) and not refused and count.brought + len(findings) == len(chosen)


def _not_allowed(address: str, files: int) -> str:
    """Why git-annex did not ask an address for any of these files, and what to type."""
    return (
        f"{counted(files, 'file')} did not come: the content is at {address}, on this machine or network, and "
        f"git-annex asks there only if you allow it: git config --global {ADDRESSES} {address}"
    )


def _room(dataset: Dataset, branch: str, rules: ContentRules) -> int | None:
    """How many bytes of this Dandiset may still come; None: as many as there are."""
    if rules.each is None:
        return None
    here = {file.key: file.size for file in content.matching(dataset.path, branch, rules.globs, here=True)}
    return rules.each - sum(here.values())


class _Bar:
    """Follows the files of one Dandiset as they come, one after the other."""

    def __init__(self, dandiset: str, files: list[AnnexedFile], follow: Follow) -> None:
        self._dandiset = dandiset
        self._files = files
        self._follow = follow
        self._count = 0
        self._before = 0
        self._size = sum(file.size for file in files)
        self.arrived(0)

    def arrived(self, size: int) -> None:
        """So many bytes of the current file are here."""
        if self._count < len(self._files):
            path, files = self._files[self._count].path, len(self._files)
            self._follow(ContentProgress(self._dandiset, path, self._count, files, self._before + size, self._size))

    def next(self, *, came: bool) -> None:
        """The current file is done, for better or worse; one that did not come is taken off the size."""
        size = self._files[self._count].size
        self._before += size if came else 0
        self._size -= 0 if came else size
        self._count += 1
        self.arrived(0)
