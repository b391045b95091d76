"""``dandi-mirror download``."""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dandi_mirror.cli import naming, options, output, tokens
from dandi_mirror.cli.ending import end_by_signals

if TYPE_CHECKING:
    from dandi_mirror.archive.names import Name
    from dandi_mirror.archive.transfer import Meter
    from dandi_mirror.mirror.contents import Contents
    from dandi_mirror.mirror.download import Done, Plan

SHOWN_FAILURES = 10
"""So many files that did not come are named; the others are counted."""


@click.command("download")
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=options.complete_versions)
@click.option(
    "-o", "--output-dir", "folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False), default=Path(),
    show_default=".", help="Where to put the files; made if it is not there.",
)  # fmt: skip
@click.option(
    "-e", "--existing", type=click.Choice(["error", "skip", "overwrite", "overwrite-different", "refresh"]),
    default="error", show_default=True,
    help="Files that are there: fail; leave them; fetch all; fetch those of other content; of other size or time.",
)  # fmt: skip
@click.option("--preserve-tree", is_flag=True, help="Put parts where they are in the Dandiset, too: ID/FOLDER/FILE.")
@click.option("-J", "--jobs", type=click.IntRange(1, 256), metavar="N", help="Connections at most.  [default: 48]")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would come; fetch and write nothing.")
@options.mirror
@options.instance
@options.output
@options.log_level
def command(
    names: tuple[str, ...],
    folder: Path,
    existing: str,
    preserve_tree: bool,
    jobs: int | None,
    dry_run: bool,
    mirror_path: Path,
    instance: str | None,
    output: str,
) -> int:
    """Download files as they are: no git, no links, no dataset.

    Each NAME is a Dandiset, a version, a folder, a file or a glob, in any form: 000004@draft/sub-P10HMH, the link of
    a page, an asset's URL.  Content that the mirror has is copied from there; the rest comes from S3, or the API.
    Every file is verified by its SHA-256 before it is put in its place.  When a run ends before its time, run
    it again with -e refresh: what is complete is kept, and a file that was under way goes on where it was.
    """
    end_by_signals()
    run = _Run(folder.absolute(), existing, preserve_tree, jobs, dry_run, output)
    for text in names:
        run.one(text, mirror_path.absolute(), instance)
    return run.end()


@dataclass(slots=True)
class _Run:
    """What is told over all names of a call."""

    folder: Path
    existing: str
    preserve_tree: bool
    jobs: int | None
    dry_run: bool
    form: str
    counts: Counter[str] = field(default_factory=Counter)
    codes: set[int] = field(default_factory=set)
    came: int = 0
    """Bytes."""
    failures: int = 0
    taken: dict[Path, str] = field(default_factory=dict)
    """Where files go, and their digests."""

    def one(self, text: str, mirror_path: Path, instance: str | None) -> None:
        """All that one name means."""
        from dataclasses import replace

        from dandi_mirror.archive.instances import api_url
        from dandi_mirror.mirror.contents import contents_here, urls
        from dandi_mirror.mirror.download import make_plan

        name, clone = naming.read_place(text)
        archive = naming.settings_for(mirror_path, [name], instance=instance).instance
        here = replace(name, instance=name.instance or instance)
        contents = contents_here(here, mirror_path, clone) or _ask(name, archive, self._wants_record(name))
        plan = make_plan(name, contents, self.folder, self.existing, self.taken, preserve_tree=self.preserve_tree)
        if self.dry_run:
            from dandi_mirror.mirror.download import Done

            for done in (*plan.settled, *(Done(file, path) for file, path in plan.wanted)):
                self._tell(done, contents)
            return
        for done in plan.settled:
            self._tell(done, contents)
        if contents.record and contents.dandiset and self._wants_record(name):
            self._record(contents)
        if plan.wanted:
            self._bring(plan, contents, urls(contents, api_url(archive)), archive)

    def _wants_record(self, name: Name) -> bool:
        return name.whole or self.preserve_tree

    def _record(self, contents: Contents) -> None:
        from dandi_mirror.mirror.download import RECORD, put_record

        path = self.folder / contents.dandiset / RECORD
        self._tell(put_record(contents.record, path, self.existing), contents)

    def _bring(self, plan: Plan, contents: Contents, urls: dict[str, tuple[str, ...]], archive: str) -> None:
        from urllib.parse import urlsplit

        from dandi_mirror.archive.instances import LOOPBACK, api_url
        from dandi_mirror.archive.transfer import JOBS, Access, Meter
        from dandi_mirror.errors import MirrorError
        from dandi_mirror.mirror.download import bring

        url = api_url(archive)
        local = frozenset({"127.0.0.1"}) if urlsplit(url).hostname in LOOPBACK else frozenset[str]()
        access, meter = Access(url, tokens.given(archive), local), Meter()
        with self._progress(plan, meter):
            try:
                for done in bring(plan, contents, urls, self.folder, access, meter, self.jobs or JOBS):
                    self._tell(done, contents)
            except MirrorError:
                self.end()
                raise

    def _tell(self, done: Done, contents: Contents) -> None:
        self.counts[done.status] += 1
        self.codes.add(done.exit_code)
        self.came += (done.file.size or 0) if done.status == "ok" else 0
        if self.form == "json":
            output.print_json(self._json(done, contents))
        elif done.message:
            self.failures += 1
            if self.failures <= SHOWN_FAILURES:
                click.echo(f"{output.printable(done.file.path)}: {output.printable(done.message)}", err=True)
        elif self.dry_run and done.status == "ok":
            click.echo(f"{output.human_size(done.file.size or 0):>10}  {output.printable(str(done.path))}")

    def _json(self, done: Done, contents: Contents) -> dict[str, object]:
        return {
            "action": "download",
            "path": str(done.path) if done.path.is_absolute() else "",
            "type": "file",
            "refds": str(self.folder),
            "status": done.status,
            "message": done.message,
            "dandiset": contents.dandiset,
            "version": contents.version,
            "file": done.file.path,
            "size": done.file.size,
            "sha256": done.file.sha256,
            "exit_code": done.exit_code,
            "dry_run": self.dry_run,
        }

    def end(self) -> int:
        """The summary; the exit code."""
        from dandi_mirror.cli.sync import exit_code

        code = exit_code(self.codes)
        if self.form == "json":
            record = {"action": "summary", "status": "ok" if code == 0 else "error", **self.counts}
            output.print_json(record | {"bytes": self.came, "exit_code": code})
            return code
        if self.failures > SHOWN_FAILURES:
            click.echo(f"… and {self.failures - SHOWN_FAILURES:,} more (-f json names all)", err=True)
        if count := self.counts["ok"]:
            verb = "would download" if self.dry_run else "downloaded"
            there = f"; {self.counts['notneeded']:,} were there" if self.counts["notneeded"] else ""
            click.echo(f"{verb} {count:,} file{'' if count == 1 else 's'}, {output.human_size(self.came)}{there}")
        return code

    def _progress(self, plan: Plan, meter: Meter) -> AbstractContextManager[None]:
        if self.form == "json" or not sys.stderr.isatty():
            return nullcontext()
        from dandi_mirror.cli.progress import transferring

        return transferring(plan.size, lambda: meter.received)


def _ask(name: Name, archive: str, record: bool) -> Contents:
    """What a name means, from the archive; with the Dandiset's record if that is wanted."""
    from dataclasses import replace

    from dandi_mirror.archive.client import Archive
    from dandi_mirror.archive.http import Session
    from dandi_mirror.archive.instances import api_url, check_called
    from dandi_mirror.mirror.contents import contents_there
    from dandi_mirror.mirror.tree import dandiset_yaml

    with closing(Session(api_url(archive), tokens.given(archive))) as session:
        asked = Archive(session)
        check_called(name.instance, asked.instance)
        found = contents_there(name, asked)
        if not (record and found.version):
            return found
        return replace(found, record=dandiset_yaml(asked.version_metadata(found.dandiset, found.version)))
