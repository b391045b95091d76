"""What `get` and `download` have in common: how they may ask, the bar, what is told of each file and at the end."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from dandi_mirror.cli import options, output
from dandi_mirror.cli.options import Command
from dandi_mirror.text import human_size, printable
from dandi_mirror.workflows import tokens

if TYPE_CHECKING:
    from dandi_mirror.addresses import Allowed
    from dandi_mirror.archive.content.single import ByteCounter
    from dandi_mirror.archive.content.sources import TransferSettings
    from dandi_mirror.errors import MirrorError

SHOWN_FAILURES = 10
"""So many files that did not come are named; the others are counted."""

jobs = click.option(
    "-J", "--jobs", type=click.IntRange(1, 256), metavar="N", help="Connections at most.  [default: 48]"
)
dry_run = click.option("-n", "--dry-run", is_flag=True, help="Say what would come; fetch and write nothing.")


def common(command: Command) -> Command:
    """The options that both have."""
    for option in (options.log_level, options.output, options.instance, options.mirror, dry_run, jobs):
        command = option(command)
    return command


def access(instance: str, allowed: Allowed) -> TransferSettings:
    """How content of an archive may be asked for; the keyring is opened when the API refuses something."""
    from dandi_mirror.archive.content.sources import TransferSettings
    from dandi_mirror.archive.instances import api_url

    def stored() -> str | None:
        token = tokens.stored(instance)
        return token.value if token else None

    token = tokens.given(instance)
    return TransferSettings(api_url(instance), token.value if token else None, allowed, key=stored)


@dataclass(slots=True)
class Telling:
    """What is told over all that a call brings."""

    action: str
    verbs: tuple[str, str]
    """What was done with files that came, and what would be."""
    form: str
    dry_run: bool
    counts: Counter[str] = field(default_factory=Counter)
    codes: set[int] = field(default_factory=set)
    size: int = 0
    """Bytes of the files that came."""
    failures: int = 0

    def file(self, path: str, status: str, message: str, size: int, code: int, facts: Mapping[str, object]) -> None:
        """What became of one file, which people know by ``path``; ``facts`` are the rest of its record."""
        self.counts[status] += 1
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

    def say(self, line: str) -> None:
        """Something that is no file, for people."""
        if self.form == "text":
            output.say(printable(line), err=True)

    def progress(self, total: int, meter: ByteCounter) -> AbstractContextManager[object]:
        """Bytes, rate and time left on a terminal; nothing anywhere else."""
        if self.form == "json" or not total or not sys.stderr.isatty():
            return nullcontext()
        from dandi_mirror.cli.progress import transferring

        return transferring(total, lambda: meter.received)

    def end(self) -> int:
        """The summary; the exit code."""
        from dandi_mirror.errors import exit_code

        code = exit_code(self.codes)
        if self.form == "json":
            output.print_summary(code, **self.counts, bytes=self.size)
            return code
        if self.failures > SHOWN_FAILURES:
            output.say(f"… and {self.failures - SHOWN_FAILURES:,} more (-f json names all)", err=True)
        if count := self.counts["ok"]:
            there = f"; {self.counts['notneeded']:,} were there" if self.counts["notneeded"] else ""
            verb = f"would {self.verbs[1]}" if self.dry_run else self.verbs[0]
            output.say(f"{verb} {count:,} file{'' if count == 1 else 's'}, {human_size(self.size)}{there}")
        return code

    def ended_by(self, error: MirrorError) -> None:
        """What came before an error that ends the run."""
        self.codes.add(error.exit_code)
        self.end()
