"""What `get`, `download` and `organize` print: a bar, a line for each file that needs one, and the summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dandi_mirror.cli import output, progress
from dandi_mirror.paths import DANDISET_YAML
from dandi_mirror.text import counted, human_size, printable

if TYPE_CHECKING:
    from dandi_mirror.errors import MirrorError

SHOWN_FAILURES = 10
"""How many files that failed are named; the others are counted."""


@dataclass(slots=True)
class FileResults:
    """Prints what became of the files of one call; see ``workflows/results.py``."""

    action: str
    verbs: tuple[str, str]
    """What was done with the files, and what would be done in a dry run."""
    form: str
    dry_run: bool
    counts: Counter[str] = field(default_factory=Counter)
    codes: set[int] = field(default_factory=set)
    size: int = 0
    """Bytes of the files that came."""
    records: Counter[str] = field(default_factory=Counter)
    """Of these, the records of Dandisets, which are no assets: `ls` does not count them."""
    failures: int = 0
    transfer: progress.Transfer | None = None
    waits: bool = False
    """Whether it has been said that another process is waited for."""

    def file(self, path: str, status: str, message: str, size: int, code: int, facts: Mapping[str, object]) -> None:
        """Print what became of one file, which people know by ``path``; ``facts`` are the rest of its record."""
        self.counts[status] += 1
        self.records[status] += facts.get("file") == DANDISET_YAML
        self.codes.add(code)
        self.size += size if status == "ok" else 0
        if self.form == "json":
            record = {"action": self.action, "type": "file", "status": status, "message": message, "size": size}
            output.print_json(record | dict(facts) | {"exit_code": code, "dry_run": self.dry_run})
        elif message:
            self.failures += 1
            if self.failures <= SHOWN_FAILURES:
                output.say(f"{printable(path)}: {printable(message)}", err=True)
        elif self.dry_run and status == "ok":
            output.say(f"{human_size(size):>10}  {printable(path)}")
        if self.transfer:
            self.transfer.done(str(facts.get("file", path)))

    def say(self, line: str) -> None:
        """Print something for people that is not about a file."""
        if self.form == "text":
            output.say(printable(line), err=True)

    @contextmanager
    def progress(self, names: Iterable[str], size: int, moved: Callable[[], int]) -> Iterator[None]:
        """Show a bar over some files on a terminal; ``moved`` says how many of ``size`` bytes have come."""
        with progress.transferring(self.form, names, size, moved) as self.transfer:
            yield
        self.transfer = None

    def waiting(self, count: int) -> None:
        """Say beside the bar, or once in a log, that another process is downloading some of the files."""
        words = progress.waiting_words(self.action, count)
        if self.transfer and self.transfer.is_shown:
            self.transfer.doing(words)
        elif words and not self.waits:
            self.waits = True
            self.say(words)

    @contextmanager
    def counting(self, total: int) -> Iterator[Callable[[str], None]]:
        """Show on a terminal how many files are done; call what this gives with each of them."""
        with progress.counting(self.form, total) as count:
            yield count

    def end(self) -> int:
        """Print the summary, and return the exit code."""
        from dandi_mirror.errors import exit_code

        code = exit_code(self.codes)
        if self.form == "json":
            output.print_summary(code, **self.counts, bytes=self.size)
            return code
        if self.failures > SHOWN_FAILURES:
            output.say(f"… and {self.failures - SHOWN_FAILURES:,} more (-f json names all)", err=True)
        if self.counts["ok"]:
            left = self._there()
            there = f"; {left:,} {'was' if left == 1 else 'were'} there" if left else ""
            verb = f"would {self.verbs[1]}" if self.dry_run else self.verbs[0]
            output.say(f"{verb} {self._what_came()}, {human_size(self.size)}{there}")
        elif not code and self.counts["notneeded"]:
            left = self._there() or self.records["notneeded"]
            output.say(
                f"nothing to {self.verbs[1]}: {counted(left, 'file')} {'is' if left == 1 else 'are'} there already"
            )
        return code

    def _there(self) -> int:
        """How many files were there, without the records of Dandisets."""
        return self.counts["notneeded"] - self.records["notneeded"]

    def _what_came(self) -> str:
        """The files that came, counted as `ls` counts them, and apart from them the records of Dandisets."""
        records = self.records["ok"]
        files = self.counts["ok"] - records
        record = DANDISET_YAML if records == 1 else f"{records:,} {DANDISET_YAML}" if records else ""
        return " and ".join(part for part in (counted(files, "file") if files else "", record) if part)

    def ended_by(self, error: MirrorError) -> None:
        """Print the summary of what came before an error that ends the run."""
        self.codes.add(error.exit_code)
        self.end()
