"""Convert the report of one Dandiset's sync to a JSON record, and back."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from dandi_mirror.model import Finding, FindingKind, Report, is_dandiset_id


def report_record(report: Report, mirror: Path, dry_run: bool) -> dict[str, object]:
    """Make the JSON record of a report."""
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
    """Make the report from its record, without what another release of the program added."""
    known = {field.name for field in fields(Report)}
    kinds = set(FindingKind)
    findings = [
        Finding(**found | {"kind": FindingKind(found["kind"])})
        for found in record["findings"]
        if found["kind"] in kinds
    ]
    return Report(**{key: value for key, value in record.items() if key in known} | {"findings": findings})
