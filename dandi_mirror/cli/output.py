"""What a command prints: lines for people, or JSON Lines with DataLad's keys."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import click

from dandi_mirror.model import Finding, Kind, Report, is_dandiset_id
from dandi_mirror.paths import is_visible

SHOWN_FINDINGS = 10
"""So many findings of a kind are named on the terminal; the others are counted."""


def human_size(size: int) -> str:
    """``6.2 GB``."""
    amount = float(size)
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if amount < 1000 or unit == "TB":
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000
    raise AssertionError("the last unit takes any amount")


def counted(count: int, noun: str) -> str:
    """``1 file``, ``1,200 files``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def printable(text: str) -> str:
    """Text of others as it may stand on a terminal: letters that are not seen, or move others, are escaped."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(letter if is_visible(letter) else ascii(letter)[1:-1] for letter in text)


def say(text: str = "", *, err: bool = False) -> None:
    """Print lines for people; nothing that a repository or an archive says reaches the terminal raw."""
    click.echo("\n".join(printable(line) for line in text.split("\n")), err=err)


def report_line(report: Report, dry_run: bool) -> str:
    """One Dandiset's line: what is there now, and what this run did."""
    words = [report.dandiset]
    if report.status in {"error", "impossible"}:
        message = report.message.removeprefix(f"{report.dandiset}: ").removeprefix(f"{report.dandiset} ")
        return f"{report.dandiset}  {printable(message)}"
    if report.files:
        words.append(f"{counted(report.files, 'file')}, {human_size(report.size)}")
    changes = [f"{sign}{count}" for sign, count in
               (("+", report.added), ("~", report.changed), ("-", report.removed)) if count]  # fmt: skip
    words += [" ".join(changes)] if changes else []
    words += [f"tagged {', '.join(report.tags)}"] if report.tags else []
    if report.brought:
        words.append(f"got {counted(report.brought, 'file')}, {human_size(report.brought_size)}")
        words += [f"({report.left:,} more are beyond the budget)"] if report.left else []
    words += [printable(report.message)] if report.message else []
    words += ["(nothing was written: --dry-run)"] if dry_run else []
    return "  ".join(words)


def finding_lines(findings: Iterable[Finding]) -> list[str]:
    """A line for each finding, the first few of every kind of every version."""
    groups: dict[tuple[str, Kind], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.version, finding.kind), []).append(finding)
    lines = []
    for (version, kind), members in groups.items():
        for finding in members[:SHOWN_FINDINGS]:
            what = f"{printable(finding.path)}: " if finding.path else ""
            lines.append(f"  {kind}  {version}  {what}{printable(finding.reason)}")
        if len(members) > SHOWN_FINDINGS:
            lines.append(f"  {kind}  {version}  … and {len(members) - SHOWN_FINDINGS} more (-f json names all)")
    return lines


def report_record(report: Report, mirror: Path, dry_run: bool) -> dict[str, object]:
    """One Dandiset's JSON record."""
    facts = asdict(report)
    exit_code = facts.pop("exit_code")
    return {
        "action": "sync",
        "path": str(mirror / report.dandiset if is_dandiset_id(report.dandiset) else mirror),
        "type": "dataset",
        "refds": str(mirror),
        **facts,
        "exit_code": exit_code,
        "dry_run": dry_run,
    }


def report_of(record: dict[str, Any]) -> Report:
    """The report that a record was made of; what another release wrote into it is passed over."""
    known = {field.name for field in fields(Report)}
    kinds = set(Kind)
    findings = [
        Finding(**found | {"kind": Kind(found["kind"])}) for found in record["findings"] if found["kind"] in kinds
    ]
    return Report(**{key: value for key, value in record.items() if key in known} | {"findings": findings})


def print_summary(code: int = 0, **facts: object) -> None:
    """The last JSON Line of a command."""
    print_json({"action": "summary", "status": "ok" if code == 0 else "error", "exit_code": code, **facts})


def print_json(record: object) -> None:
    """One JSON Line; half surrogates in a path are escaped as JSON can."""
    click.echo(json.dumps(record, ensure_ascii=True))
