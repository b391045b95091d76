"""``dandi-mirror validate``: check files before the archive does."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dandi_mirror.cli import options, output, progress
from dandi_mirror.cli.exit import end_by_signals
from dandi_mirror.text import printable

if TYPE_CHECKING:
    from dandi_mirror.upload.validate import ValidationFinding, ValidationTargets

SHOWN = 10
"""How many findings of a check are named; the others are counted."""
WORDS = {"CRITICAL": "critical", "ERROR": "error", "WARNING": "warning", "HINT": "hint", "INFO": "info"}


@click.command("validate")
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--all", "everything", is_flag=True, help="In a clone, check all files, not only the changed ones.")
@click.option(
    "--min-severity", type=click.Choice([word.lower() for word in WORDS]), default="warning", show_default=True,
    help="Count findings that are less severe, but do not print them.",
)  # fmt: skip
@click.option("--ignore", metavar="REGEX", help="Leave out the checks whose name matches, and do not count them.")
@options.readers
@options.file_time
@options.file_memory
@options.output
@options.log_level
def command(
    paths: tuple[Path, ...],
    everything: bool,
    min_severity: str,
    ignore: str | None,
    jobs: int | None,
    file_time: float,
    file_memory: str,
    output: str,
) -> int:
    """Check files as NWB, as a Dandiset, and as BIDS where there is a dataset_description.json.

    The checks are those of `dandi validate`.  PATH is a file or a folder (default: the one that you are in).  In a
    clone, `validate` checks the files that have changed since the last sync.  If the content of a file is not here, it
    checks only the name.  Exits with 3 if there are errors.

    \b
    Examples:
      dandi-mirror validate                                  what has changed in the clone that you are in
      dandi-mirror validate sub-m1 --min-severity error
    """
    end_by_signals("run the command again to check the rest")
    from dandi_mirror.upload.validate import validate_files
    from dandi_mirror.workflows.upload.validate import select_files
    from dandi_mirror.workflows.upload.work_tree import reader_processes

    findings = Findings(min_severity.upper(), _pattern(ignore), output)
    with progress.busy(output, "looking for files"):
        selected = list(select_files(paths or (Path(),), everything))
    for root, selection, rest in selected:
        files = len(selection.present) + len(selection.missing)
        with reader_processes(jobs, file_time, file_memory) as worker, progress.counting(output, files) as count:
            findings.add(root, selection, rest, validate_files(worker, root, selection, lambda file: count(file.name)))
    return findings.end()


def _pattern(text: str | None) -> re.Pattern[str] | None:
    from dandi_mirror.errors import UsageError

    try:
        return None if text is None else re.compile(text)
    except re.error as error:
        raise UsageError(f"--ignore {text!r} is not a regular expression: {error}") from None


class Findings:
    """Prints what the checks find in all datasets of a call."""

    def __init__(self, least: str, ignored: re.Pattern[str] | None, form: str) -> None:
        from dandi_mirror.upload.validate import SEVERITIES

        self._shown = set(SEVERITIES[SEVERITIES.index(least) :])
        self._ignored = ignored
        self._form = form
        self._counts: Counter[str] = Counter()
        self._checked = self._missing = self._passed = 0
        self._failed = False

    def add(self, root: Path, selection: ValidationTargets, passed: int, found: Iterable[ValidationFinding]) -> None:
        """Print what was found in one dataset."""
        from dandi_mirror.upload.validate import grouped

        kept = [one for one in found if not (self._ignored and self._ignored.search(one.id))]
        self._failed = self._failed or any(one.is_error for one in kept)
        self._counts.update(one.severity for one in kept)
        self._checked += len(selection.present) + len(selection.strange)
        self._missing += len(selection.missing)
        self._passed += passed
        shown = [one for one in kept if one.severity in self._shown]
        if self._form == "json":
            for one in shown:
                output.print_json(_record(root, one))
            return
        for (severity, _), group in grouped(shown).items():
            for line in _lines(severity, group):
                output.say(line)

    def end(self) -> int:
        """Print the summary, and return the exit code."""
        code = 3 if self._failed else 0
        if self._form == "json":
            counts = {WORDS[severity]: count for severity, count in self._counts.items()}
            output.print_summary(
                code, checked=self._checked, missing=self._missing, unchanged=self._passed, found=counts
            )
            return code
        found = ", ".join(
            _plural(self._counts[severity], word) for severity, word in WORDS.items() if self._counts[severity]
        )
        if self._checked or self._missing:
            output.say(f"{_plural(self._checked, 'file')} checked: {found or 'nothing found'}")
        else:
            output.say(
                "nothing has changed since the last sync; to check all files, add --all" if self._passed else "no files"
            )
        if self._missing:
            what = _plural(self._missing, "more file")
            output.say(
                f"{what} by name only, because the content is not here; to check it, first run: dandi-mirror get PATH"
            )
        return code


def _plural(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 or word == 'info' else 's'}"


def _lines(severity: str, group: list[ValidationFinding]) -> Iterable[str]:
    """Give the lines of one check: its name, where it found something, and what to do."""
    first = group[0]
    same = all(one.message == first.message for one in group)
    name = first.id if len(first.id) < 100 else f"{first.id[:99]}…"
    yield f"{severity}  {printable(name)}{'  ' + _message(first) if same else ''}"
    for one in group[:SHOWN]:
        place = f" ({printable(one.within[:200])})" if one.within else ""
        yield f"    {printable(one.path)}{place}{'' if same else ': ' + _message(one)}"
    if len(group) > SHOWN:
        yield f"    … and {len(group) - SHOWN:,} more (-f json names all)"
    if first.remedy:
        yield f"    what to do: {first.remedy}"


def _message(one: ValidationFinding) -> str:
    said = printable(one.message)
    return said if len(said) <= 240 else f"{said[:239]}…"


def _record(root: Path, one: ValidationFinding) -> Mapping[str, object]:
    return {
        "action": "validate", "path": str(root / one.path), "type": "file", "refds": str(root),
        "status": "error" if one.is_error else "ok", "message": one.message, "file": one.path,
        "severity": one.severity.lower(), "id": one.id, "within": one.within, "validator": one.validator,
        "standard": one.standard, "remedy": one.remedy,
    }  # fmt: skip
