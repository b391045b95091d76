"""Get content for the interface: collect what becomes of each file, show progress if asked, raise what fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from dandi_mirror.errors import MirrorError, PartError
from dandi_mirror.interface.bar import bar
from dandi_mirror.interface.remarks import remarks_as_warnings
from dandi_mirror.interface.values import Got
from dandi_mirror.mirror.contents.selection import FileSelection, parse_where
from dandi_mirror.workflows.content.get import ContentRun


class Collected:
    """Takes what becomes of each file; see :class:`dandi_mirror.workflows.results.Results`."""

    dry_run = False

    def __init__(self, show: bool) -> None:
        """``show``: whether to show a bar while content comes."""
        self.got: list[Got] = []
        self.said: list[str] = []
        self.came: list[Mapping[str, object]] = []
        self._show = show

    def file(self, path: str, status: str, message: str, size: int, code: int, facts: Mapping[str, object]) -> None:
        """Keep what became of a file."""
        self.got.append(Got(Path(str(facts["path"])), status, size, message))
        self.came += [facts] if status == "ok" else []

    def say(self, line: str) -> None:
        """Keep a line for people."""
        self.said.append(line)

    def progress(self, names: Iterable[str], size: int, moved: Callable[[], int]) -> AbstractContextManager[None]:
        """Show a bar, if that is wanted and something comes."""
        return bar(size, moved) if self._show and size else nullcontext()

    def waiting(self, count: int) -> None:
        """Show nothing."""

    @contextmanager
    def counting(self, total: int) -> Iterator[Callable[[str], None]]:
        """Show nothing."""
        yield lambda name: None

    def ended_by(self, error: MirrorError) -> None:
        """Nothing to do: the error is raised."""


def bulk_get(dataset: Path, paths: Sequence[str], jobs: int) -> tuple[list[Mapping[str, object]], bool]:
    """Get files, folders and globs of a dataset; path and key of each that came, and whether all are here now.

    Raises:
        MirrorError: the run failed as a whole.
    """
    results = Collected(show=False)
    ContentRun(dataset, None, FileSelection(), jobs, results).run_in(dataset, paths)
    return results.came, all(got.status in {"ok", "notneeded"} for got in results.got)


class GetFailed(PartError):
    """Some files did not come; ``got`` has all, also those that came."""

    def __init__(self, message: str, got: Sequence[Got]) -> None:
        super().__init__(message)
        self.got = tuple(got)


def get_content(
    dataset: Path, paths: Sequence[str], mirror: Path, instance: str | None, where: str, jobs: int, show: bool
) -> list[Got]:
    """Get the content of files, folders and globs of a dataset, as ``dandi-mirror get`` does; what became of each file.

    Raises:
        GetFailed: some files did not come, or a path means nothing.
    """
    results = Collected(show)
    selection = FileSelection((), parse_where((where,) if where else ()))
    with remarks_as_warnings():
        ContentRun(mirror, instance, selection, jobs, results).run_in(dataset, paths)
    failed = [got for got in results.got if got.status not in {"ok", "notneeded"}]
    if failed:
        more = f" and {len(failed) - 1:,} more" if len(failed) > 1 else ""
        raise GetFailed(f"{failed[0].path}: {failed[0].message}{more}", results.got)
    return results.got
