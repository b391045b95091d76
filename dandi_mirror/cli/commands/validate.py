"""``dandi-mirror validate``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dandi_mirror.cli import options, output, reading
from dandi_mirror.cli.ending import end_by_signals
from dandi_mirror.text import printable

if TYPE_CHECKING:
    from dandi_mirror.upload.validate import Found, Selection

SHOWN = 10
"""So many findings of a check are named; the others are counted."""
WORDS = {"CRITICAL": "critical", "ERROR": "error", "WARNING": "warning", "HINT": "hint", "INFO": "info"}


@click.command("validate")
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--all", "everything", is_flag=True, help="In a clone: all files, not only those that have changed.")
@click.option(
    "--min-severity", type=click.Choice([word.lower() for word in WORDS]), default="warning", show_default=True,
    help="Tell of nothing that is less; it is counted all the same.",
)  # fmt: skip
@click.option(
    "--ignore", metavar="REGEX", help="Leave out checks in whose name this is found; they do not count, either."
)
@reading.jobs
@reading.file_time
@reading.file_memory
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
    """Say what is wrong with files: as NWB, as a Dandiset, as BIDS where there is a dataset_description.json.

    The checks are those of `dandi validate`.  Each PATH is a file or a folder (default: the one that you are in).  In a
    clone, files that are as the last sync left them are passed over.  Of files whose content is not here, only the
    names are looked at.  Ends with 3 if there are errors.
    """
    end_by_signals()
    from dandi_mirror.upload.validate import check

    telling = _Telling(min_severity.upper(), _pattern(ignore), output)
    for root, selection, rest in _selected(paths or (Path(),), everything):
        files = len(selection.present) + len(selection.missing)
        with reading.worker(jobs, file_time, file_memory) as worker, reading.progress(files, output) as heard:
            telling.add(root, selection, rest, check(worker, root, selection, heard))
    return telling.end()


def _pattern(text: str | None) -> re.Pattern[str] | None:
    from dandi_mirror.errors import UsageError

    try:
        return None if text is None else re.compile(text)
    except re.error as error:
        raise UsageError(f"--ignore {text!r} is no regular expression: {error}") from None


def _selected(paths: Iterable[Path], everything: bool) -> Iterable[tuple[Path, Selection, int]]:
    """For each dataset or plain folder: its top, the files that are looked at, and how many are passed over."""
    import os

    from dandi_mirror.errors import UsageError
    from dandi_mirror.mirror.locate.clones import clone_at
    from dandi_mirror.repo.annex.edits import files
    from dandi_mirror.repo.git.files import place_of
    from dandi_mirror.repo.git.ignored import ignored
    from dandi_mirror.upload.kinds import Kinds
    from dandi_mirror.upload.validate import belongs, select

    wanted: dict[Path, list[str]] = {}
    clones = set()
    for path in paths:
        if not os.path.lexists(path):
            raise UsageError(f"there is no {path}")
        found = clone_at(str(path))
        given = place_of(path)
        root = found.folder if found else _top(given)
        clones |= {root} if found else set()
        inside = (found.name.path or "") if found else str(given.relative_to(root))
        wanted.setdefault(root, []).append("" if inside == "." else inside.rstrip("/"))
    for root, below in wanted.items():
        there = files(root) if root in clones else _listing(root)
        candidates = _changed(root) if root in clones and not everything else there
        chosen = [name for name in candidates if any(_is_in(name, folder) for folder in below)]
        passed = sum(belongs(name) and any(_is_in(name, folder) for folder in below) for name in {*there} - {*chosen})
        selection = select(root, chosen, Kinds.of(there))
        if root in clones:
            selection.strange.update(ignored(root, filter(None, below)))
        yield root, selection, passed


def _changed(root: Path) -> list[str]:
    """Files that are not as the last sync left them; where none has been, as what is checked out."""
    from dandi_mirror.mirror.sync.draft import last_commit
    from dandi_mirror.repo.annex.edits import read_edits
    from dandi_mirror.repo.git.dataset import Dataset

    dataset = Dataset(root)
    return [edit.path for edit in read_edits(dataset, last_commit(dataset) or "HEAD")]


def _is_in(path: str, folder: str) -> bool:
    return not folder or path == folder or path.startswith(f"{folder}/")


def _top(path: Path) -> Path:
    """The Dandiset that a file or folder outside of git is in, or it itself."""
    from dandi_mirror.errors import UsageError
    from dandi_mirror.files.own import own_folder

    if own_folder(path).is_folder():
        raise UsageError(f"{path} is a mirror of many Dandisets; name a dataset in it, as {path}/000123")
    around = next((folder for folder in (path, *path.parents) if (folder / "dandiset.yaml").is_file()), None)
    return around or (path if path.is_dir() else path.parent)


def _listing(root: Path) -> list[str]:
    """The files of a folder that is no repository."""
    import os

    found = []
    for top, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [str(Path(top, name).relative_to(root)) for name in names]
    return sorted(found)


class _Telling:
    """What is told over all datasets of a call."""

    def __init__(self, least: str, ignored: re.Pattern[str] | None, form: str) -> None:
        from dandi_mirror.upload.validate import SEVERITIES

        self._shown = set(SEVERITIES[SEVERITIES.index(least) :])
        self._ignored = ignored
        self._form = form
        self._counts: Counter[str] = Counter()
        self._checked = self._missing = self._passed = 0
        self._failed = False

    def add(self, root: Path, selection: Selection, passed: int, found: Iterable[Found]) -> None:
        """What was found in one of them."""
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
        """The summary; the exit code."""
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
                "nothing has changed since the last sync; --all checks all files" if self._passed else "no files"
            )
        if self._missing:
            what = _plural(self._missing, "more file")
            output.say(f"{what} by name only: the content is not here; to check it, dandi-mirror get PATH first")
        return code


def _plural(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 or word == 'info' else 's'}"


def _lines(severity: str, group: list[Found]) -> Iterable[str]:
    """A check, where it found something, and what to do."""
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


def _message(one: Found) -> str:
    said = printable(one.message)
    return said if len(said) <= 240 else f"{said[:239]}…"


def _record(root: Path, one: Found) -> Mapping[str, object]:
    return {
        "action": "validate", "path": str(root / one.path), "type": "file", "refds": str(root),
        "status": "error" if one.is_error else "ok", "message": one.message, "file": one.path,
        "severity": one.severity.lower(), "id": one.id, "within": one.within, "validator": one.validator,
        "standard": one.standard, "remedy": one.remedy,
    }  # fmt: skip
