"""Rescue content that is leaving the archive: get it after a sync, before it is gone."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace

from dandi_mirror.errors import MirrorError
from dandi_mirror.mirror.copies.leaving import leaving
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.state.options import Options
from dandi_mirror.mirror.state.remembered import draft_of
from dandi_mirror.model import DRAFT, Finding, FindingKind, Report
from dandi_mirror.repo.annex import content
from dandi_mirror.repo.annex.keys import size_of
from dandi_mirror.text import redacted


@dataclass(slots=True)
class RescueRules:
    """Whether to rescue content, and how much of it."""

    wanted: bool = False
    left: int | None = None
    """Bytes that this run may still get; it counts down.  None for no limit."""
    deadline: float | None = None
    """When to end, by ``time.monotonic()``; None for no time limit."""


def with_rescue(reports: Iterable[Report], mirror: Mirror, rules: RescueRules, options: Options) -> Iterator[Report]:
    """Yield the reports of a sync, each when the content of its Dandiset that is leaving the archive has been got."""
    for report in reports:
        if rules.wanted and report.commit and not options.dry_run:
            report = _rescued(report, mirror, rules, options)
        yield report


def _rescued(report: Report, mirror: Mirror, rules: RescueRules, options: Options) -> Report:
    findings: list[Finding] = []
    count = size = 0
    going = leaving(mirror, report.dandiset).until
    if going:
        options.progress(report.dandiset, "getting content that is leaving the archive")
    chosen = _fitting(going, rules.left)
    try:
        for key, reason in _get(mirror, report.dandiset, chosen, rules):
            if reason:
                findings.append(
                    Finding(DRAFT, key, FindingKind.CONTENT, f"leaving the archive: {redacted(reason)[:300]}")
                )
                continue
            count, size = count + 1, size + size_of(key)
            rules.left = None if rules.left is None else rules.left - size_of(key)
    except Exception as error:
        # whatever happens here, the sync itself has succeeded
        logging.getLogger("dandi_mirror").debug("%s", report.dandiset, exc_info=True)
        reason = str(error) if isinstance(error, MirrorError) else f"unexpected: {type(error).__name__}: {error}"
        findings.append(Finding(DRAFT, "", FindingKind.CONTENT, reason))
    return replace(
        report,
        status="ok" if count else report.status,
        findings=[*report.findings, *findings],
        news=report.news or bool(findings),
        exit_code=report.exit_code or (3 if findings else 0),
        brought=report.brought + count,
        brought_size=report.brought_size + size,
        rescued=size,
        not_rescued=sum(map(size_of, going)) - size,
        left=report.left + len(going) - len(chosen),
    )


def _fitting(keys: Iterable[str], most: int | None) -> list[str]:
    """The keys whose content fits into ``most`` bytes, in the same order; one that does not fit is passed over."""
    chosen = []
    for key in keys:
        if most is None or size_of(key) <= most:
            most = None if most is None else most - size_of(key)
            chosen.append(key)
    return chosen


def _get(mirror: Mirror, dandiset: str, keys: list[str], rules: RescueRules) -> Iterator[tuple[str, str]]:
    if not keys:
        return
    then = mirror.index.get(dandiset)
    closed = then is not None and draft_of(then.entry).embargo_status not in {"", "OPEN"}
    path = mirror.dataset(dandiset).path
    with closing(content.get(path, keys, rules.deadline, secrets=closed)) as answers:
        yield from answers
