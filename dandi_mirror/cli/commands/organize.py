"""``dandi-mirror organize``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dandi_mirror.cli import bringing, options, reading
from dandi_mirror.cli.ending import end_by_signals

if TYPE_CHECKING:
    from dandi_mirror.upload.organize.naming import Refused, Step
    from dandi_mirror.upload.organize.organize import Organized
    from dandi_mirror.upload.read.worker import Worker
    from dandi_mirror.workflows.work_tree import Working

MODES = ("dry", "simulate", "copy", "move", "hardlink", "symlink")
FIELDS = ("session_id", "tissue_sample_id", "slice_id", "cell_id", "description", "probe_ids", "obj_id", "modalities")


@click.command("organize")
@click.argument("sources", metavar="SOURCE...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--to", "folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False),
    help="The clone, or the mirror's own dataset, to bring them to.  [default: the one that you are in]",
)  # fmt: skip
@click.option(
    "-f", "--files-mode", "mode", type=click.Choice(MODES), default="copy", show_default=True,
    help="dry: say what goes where; simulate: lay links out in a folder that is made; hardlink: without a second copy;"
    " symlink: links that git-annex is not told of.",
)  # fmt: skip
@click.option(
    "--required-field", "required", type=click.Choice(FIELDS), multiple=True,
    help="Have this in every name, also where all files agree in it; may be repeated.",
)  # fmt: skip
@click.option("-n", "--dry-run", is_flag=True, help="The same as -f dry.")
@reading.jobs
@reading.file_time
@reading.file_memory
@click.option(
    "--format", "output", type=click.Choice(["text", "json"]), default="text", show_default=True,
    help="What to print: lines for people, or JSON Lines with DataLad's keys.",
)  # fmt: skip
@options.log_level
def command(
    sources: tuple[Path, ...],
    folder: Path | None,
    mode: str,
    required: tuple[str, ...],
    dry_run: bool,
    jobs: int | None,
    file_time: float,
    file_memory: str,
    output: str,
) -> int:
    """Bring NWB files, with the media files they refer to, to where DANDI's names for them are, in a clone.

    Each SOURCE is an NWB file or a folder of them.  Names are those of `dandi organize`.  git-annex takes the files in;
    nothing is committed: look at it with git, then `dandi-mirror validate` and `dandi-mirror upload`.  Nothing is
    overwritten; a file that is moved is taken away when its copy has been verified and is on the disk.
    """
    end_by_signals()
    from dandi_mirror.errors import UsageError
    from dandi_mirror.workflows.work_tree import working

    if not sources:
        raise UsageError("name the NWB files, or folders of them")
    mode = "dry" if dry_run else mode
    place = None if mode == "simulate" else working(folder or Path())
    telling = bringing.Telling("organize", ("organized", "organize"), output, mode == "dry")
    with reading.worker(jobs, file_time, file_memory) as worker:
        run = _Run(place, _new(folder) if place is None else place.folder, mode, telling)
        run.carry_out(worker, run.plan(worker, sources, required))
    return telling.end()


def _new(folder: Path | None) -> Path:
    import os

    from dandi_mirror.errors import UsageError

    if folder is None or os.path.lexists(folder):
        raise UsageError("-f simulate makes a folder for its links: name one that is not there yet, by --to")
    return folder.absolute()


class _Run:
    """What one call does, and tells."""

    def __init__(self, place: Working | None, root: Path, mode: str, telling: bringing.Telling) -> None:
        self._place = place
        self._root = root
        self._mode = mode
        self._telling = telling
        self._tracked = place.clone.listing() if place else {}

    def plan(self, worker: Worker, sources: Iterable[Path], required: Sequence[str]) -> list[Step]:
        """What goes where; files that stay where they are are told."""
        from dandi_mirror.upload.organize.sources import find, plan

        files, refused = find(sources, {self._root / path for path in self._tracked})
        self._refuse(refused)
        with reading.progress(len(files), self._telling.form) as heard:
            steps, refused = plan(worker, files, self._tracked, required, heard)
        self._refuse(refused)
        return steps

    def carry_out(self, worker: Worker, steps: list[Step]) -> None:
        """Do it, or say it."""
        with reading.progress(len(steps), self._telling.form) as heard:
            for told in self._done(worker, steps):
                self._tell(told)
                heard(told.source)

    def _done(self, worker: Worker, steps: list[Step]) -> Iterator[Organized]:
        from dandi_mirror.upload.organize import organize, sources

        if self._mode == "dry":
            yield from organize.preview(self._root, steps, sources.COPY, self._tracked)
        elif self._mode in {"simulate", sources.SYMLINK}:
            self._root.mkdir(parents=True, exist_ok=True)
            yield from organize.link(self._root, steps, self._tracked)
        elif self._place and steps:
            with self._place.held():
                self._place.clone.prepare()
                yield from organize.carry_out(self._place.clone, worker, steps, self._mode)

    def _refuse(self, refused: Iterable[Refused]) -> None:
        from dandi_mirror.upload.organize.organize import Organized

        for one in refused:
            self._tell(Organized(one.source, "", "impossible", one.reason))

    def _tell(self, told: Organized) -> None:
        place = str(self._root / told.target) if told.target else ""
        facts = {"path": place, "refds": str(self._root), "source": str(told.source), "file": told.target,
                 "key": told.key, "mode": self._mode}  # fmt: skip
        label = str(told.source) if told.message else f"{told.source} -> {told.target}"
        self._telling.file(label, told.status, told.message, told.size, told.exit_code, facts)
