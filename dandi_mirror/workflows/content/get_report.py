"""What ``get`` reports: files that came, would come or cannot come, and what else there is to know about a plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dandi_mirror.text import quoted

if TYPE_CHECKING:
    from dandi_mirror.errors import MirrorError
    from dandi_mirror.mirror.fetch.get import GetResult
    from dandi_mirror.mirror.fetch.get_plan import GetPlan
    from dandi_mirror.mirror.locate.targets import Target
    from dandi_mirror.repo.annex.repository import AnnexRepository
    from dandi_mirror.workflows.results import Results


class GetReport:
    """Reports files and remarks of one run."""

    def __init__(self, results: Results) -> None:
        self._results = results

    def file(self, folder: Path, got: GetResult) -> None:
        """Report a file of the dataset at ``folder``."""
        facts = {"path": str(folder / got.path), "refds": str(folder), "file": got.path, "key": got.key}
        self._results.file(got.path, got.status, got.message, got.size, got.exit_code, facts)

    def failed(self, folder: Path, path: str, error: MirrorError) -> None:
        """Report that something of the dataset at ``folder`` failed."""
        self.file(folder, _result(path, "error", str(error), error.exit_code))

    def would_come(self, folder: Path, choice: GetPlan) -> None:
        """Report what a plan would get."""
        from dandi_mirror.mirror.fetch.get import GetResult
        from dandi_mirror.repo.annex.keys import size_of

        for file in choice.missing:
            self.file(folder, GetResult(file.path, file.key, size_of(file.key)))

    def cannot_come(self, folder: Path, choice: GetPlan) -> None:
        """Report what was asked for and is nowhere."""
        for text in choice.nothing:
            hint = f"; did you mean {choice.near[text]}?" if text in choice.near else ""
            if text.rstrip("/").endswith((".zarr", ".ngff")):
                hint = hint or "; if this is a Zarr, it has not been synced: dandi-mirror download brings plain files"
            self._nothing(folder, text, f"there is no such file, folder or match{hint}")
        for path in choice.odd:
            words = "its link does not name a key of git-annex, so its content is unknown; ask whoever made the dataset"
            self._nothing(folder, path, words)
        if choice.unmet:
            self._nothing(folder, ".", f"no file fits --where {choice.unmet}")

    def _nothing(self, folder: Path, text: str, message: str) -> None:
        self.file(folder, _result(text, "impossible", message, 3))

    def checked_out(self, clone: AnnexRepository, place: Target) -> None:
        """Say that another version is checked out, so that some of the content that comes is not visible."""
        commit = place.commit(clone.dataset)
        if commit and not clone.dataset.has_checked_out(commit):
            what = clone.dataset.head_branch() or "another version"
            self._results.say(
                f"{clone.path} has {what} checked out, not {place.version}; content comes, but to see the files of "
                f"that version: git -C {quoted(clone.path)} checkout {place.version}"
            )


def _result(path: str, status: str, message: str, exit_code: int) -> GetResult:
    from dandi_mirror.mirror.fetch.get import GetResult

    return GetResult(path, status=status, message=message, exit_code=exit_code)
