"""Convert the report of one Dandiset's sync to a JSON record, and back."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from dandi_mirror.model import FindingKind, Report, is_dandiset_id


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


def report_of(record: dict[str, Any]) -> Report | None:
    """Make the report from its record, without what another release added; None if it is not a record of a report."""
    import msgspec  # takes 20 ms, and only `runs` reads records

    found = record.get("findings")
    known = [one for one in found if _has_known_kind(one)] if isinstance(found, list) else found
    try:
        return msgspec.convert({**record, "findings": known}, Report)
    except msgspec.ValidationError:
        return None


def _has_known_kind(finding: object) -> bool:
    return not isinstance(finding, dict) or finding.get("kind") in [*map(str, FindingKind)]
