"""What a command prints: lines for people, or JSON Lines with DataLad's keys."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from dandi_mirror.errors import exit_code
from dandi_mirror.model import Finding, FindingKind, ListedDandiset, Report
from dandi_mirror.text import counted, human_size, printable
from dandi_mirror.workflows.terminal import say, write_out

__all__ = [
    "SHOWN_FINDINGS",
    "finding_lines",
    "print_change",
    "print_each",
    "print_json",
    "print_summary",
    "report_line",
    "say",
    "write_out",
]


class _WithExitCode(Protocol):
    @property
    def exit_code(self) -> int: ...


_Result = TypeVar("_Result", bound=_WithExitCode)
SHOWN_FINDINGS = 10
"""How many findings of a kind are named on the terminal; the others are counted."""


def report_line(report: Report, dry_run: bool) -> str:
    """Return one Dandiset's line: what is there now, and what this run did."""
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
        words += (
            [f"({report.left:,} more {'is' if report.left == 1 else 'are'} beyond the budget)"] if report.left else []
        )
    words += [printable(report.message)] if report.message else []
    words += ["nothing changed, but:"] if len(words) == 1 and report.findings else []
    words += ["(nothing was written: --dry-run)"] if dry_run else []
    return "  ".join(words)


def finding_lines(findings: Iterable[Finding]) -> list[str]:
    """Return a line for each of the first findings of every kind in every version."""
    groups: dict[tuple[str, FindingKind], list[Finding]] = {}
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


def draft_line(entry: ListedDandiset) -> str:
    """What a draft is, in the words of a question: its title, files and size."""
    return f"{printable(entry.draft.name)}: {counted(entry.draft.asset_count, 'file')}, {human_size(entry.draft.size)}"


def print_summary(code: int = 0, **facts: object) -> None:
    """Print the last JSON Line of a command."""
    print_json({"action": "summary", "status": "ok" if code == 0 else "error", "exit_code": code, **facts})


def print_each(results: Iterable[_Result], show: Callable[[_Result], None], form: str) -> int:
    """Show each result as it comes, and with JSON the summary; return the exit code of them all."""
    codes = set()
    for result in results:
        codes.add(result.exit_code)
        show(result)
    code = exit_code(codes)
    if form == "json":
        print_summary(code)
    return code


def print_change(action: str, dandiset: str, said: str, form: str, *, dry_run: bool = False) -> int:
    """Print what a command changed about a Dandiset at the archive, or would change; return the exit code."""
    if form == "json":
        facts = {"action": action, "status": "ok", "dandiset": dandiset, "message": said, "dry_run": dry_run}
        print_json(facts)
        print_summary()
    else:
        say(f"{dandiset}  {said}")
    return 0


def print_json(record: object) -> None:
    """Print one JSON Line, in ASCII: JSON can escape every path."""
    write_out(json.dumps(record, ensure_ascii=True))
