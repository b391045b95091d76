"""Download into the repository of a Zarr: the metadata of an array come last, and only if all its chunks are here.

So whoever opens an array that is not whole gets an error, not fill values (:mod:`dandi_mirror.mirror.zarr.arrays`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from dandi_mirror.archive.content.single import ByteCounter, DownloadOutcome
from dandi_mirror.archive.content.sources import TransferSettings
from dandi_mirror.errors import PartError
from dandi_mirror.files.opening import read_file
from dandi_mirror.mirror.fetch.get import Download, GetResult, run_download
from dandi_mirror.mirror.fetch.get_plan import GetPlan
from dandi_mirror.mirror.zarr.arrays import V3, KeyedEntry, Survey, may_cover, node_kind, survey
from dandi_mirror.repo.annex.keys import size_of
from dandi_mirror.repo.annex.objects import FetchedContent
from dandi_mirror.repo.annex.repository import AnnexRepository, Tracked
from dandi_mirror.repo.git.process import DamagedError
from dandi_mirror.text import some
from dandi_mirror.zarr_checksum import counts_of

CHECKSUM = ".dandi/zarr-checksum"
"""The file by which a repository is known as that of a Zarr."""
LONGEST_ZARR_JSON = 1 << 24
"""Bytes of a ``zarr.json`` that is read; a longer one counts as that of an array."""
Start = Callable[[AnnexRepository, GetPlan, TransferSettings], Download]
"""Makes a download."""
_SHOWN = 8
"""The number of arrays that are named."""
_ABOVE = frozenset({".zgroup", ".zattrs", V3})


@dataclass(frozen=True, slots=True)
class ZarrClone:
    """The repository of a Zarr, with one of its states."""

    clone: AnnexRepository
    files: tuple[Tracked, ...]
    refused: int
    """Entries that the state has and the repository has not."""

    @classmethod
    def of(cls, clone: AnnexRepository, commit: str | None = None) -> ZarrClone | None:
        """Read a state, or that which is checked out; None if this is no repository of a Zarr.

        Raises:
            DamagedError: the ref of the state is lost.
        """
        if commit and clone.dataset.ref(commit) is None:
            raise DamagedError(clone.path, f"it has no {commit}")
        listing = clone.listing(commit)
        if CHECKSUM not in listing:
            return None
        with clone.dataset.reader() as reader:
            (content,) = reader.read([listing[CHECKSUM][1]])
        files = tuple(clone.tracked(listing))
        try:
            entries, _ = counts_of((content or b"").decode(errors="replace").strip())
        except ValueError:
            entries = len(files) + 1  # what it lacks is not known
        return cls(clone, files, max(0, entries - len(files)))

    def survey(self, more: Iterable[tuple[str, bytes]] = ()) -> Survey:
        """What may be present now; ``more`` are contents of keys that are about to be placed."""
        kinds = {key: node_kind(content) for key, content in more}
        for key in {file.key for file in self.files if file.path.rpartition("/")[2] == V3} - kinds.keys():
            if file := read_file(Path(self.clone.object_path(key)), LONGEST_ZARR_JSON) if key else None:
                kinds[key] = node_kind(file)
        members = (KeyedEntry(file.path, file.key) for file in self.files)
        return survey(members, self.clone.has, kinds, self.refused)

    def above(self, chosen: Iterable[str]) -> list[Tracked]:
        """The metadata of the groups that files are in: without them, nobody finds the arrays."""
        folders = {path[: place + 1] for path in chosen for place, letter in enumerate(path) if letter == "/"} | {""}
        names = {folder + name for folder in folders for name in _ABOVE}
        return [file for file in self.files if file.path in names and file.key]


def get_zarr(
    zarr: ZarrClone,
    choice: GetPlan,
    access: TransferSettings,
    jobs: int,
    meter: ByteCounter,
    kinds: tuple[Start, Start] | None = None,
) -> Iterator[GetResult]:
    """Download what a plan needs of a Zarr: the chunks, then the metadata that may be present.

    Metadata that has to wait is reported as impossible if it was asked for.  ``kinds`` make the downloads of the chunks
    and of the metadata; without them, the archive is asked.

    Raises:
        DiskError: the disk is full or not writable; all complete files were yielded before.
    """
    last = {file.key for file in zarr.files if may_cover(file.path)}
    asked = {file.path for file in choice.missing}
    chosen = asked | {file.path for file in choice.here}
    above = [file for file in zarr.above(chosen) if file.path not in chosen and not zarr.clone.has(file.key)]
    wanted = [*above, *choice.missing]
    first = replace(choice, missing=[file for file in wanted if file.key not in last])
    chunks, metadata = kinds or (Download, MetadataLast)
    yield from run_download(chunks(zarr.clone, first, access), access, jobs, meter)
    second = replace(choice, missing=[file for file in wanted if file.key in last], here=[])
    work = metadata(zarr.clone, second, access)
    assert isinstance(work, MetadataLast)
    work.zarr = zarr
    for got in run_download(work, access, jobs, meter):
        if got.path in asked or got.status != "impossible":
            yield got


class MetadataLast(Download):
    """The download of what may open arrays: none of it is placed before all of it can be judged."""

    zarr: ZarrClone
    """Set before the download begins."""

    def __init__(self, clone: AnnexRepository, choice: GetPlan, access: TransferSettings) -> None:
        super().__init__(clone, choice, access)
        self._held: dict[str, tuple[str, ...]] = {}

    def take(self, outcome: DownloadOutcome) -> Iterator[GetResult]:
        """Take a result of the bulk transfer."""
        if outcome.error is None:
            self.arrived.append(FetchedContent(outcome.item.partial.name, outcome.item.partial))
        else:
            yield from super().take(outcome)

    def place(self) -> None:
        """Move what may be present to git-annex's objects; the rest stays where it was fetched, for another run."""
        if self.others:
            return
        more = [(content.key, read_file(content.file, LONGEST_ZARR_JSON) or b"") for content in self.arrived]
        held = self.zarr.survey(more).held if more else {}
        self._held |= {key: folders for key, folders in held.items() if key in self.files}
        self.arrived = [content for content in self.arrived if content.key not in held]
        super().place()

    def get_by_git_annex(self, waiting: Callable[[int], None]) -> Iterator[GetResult]:
        """Let git-annex get what may be present; then report what may not."""
        held = self.zarr.survey().held if self.left else {}
        self._held |= {key: held[key] for key in self.left if key in held}
        self.left = {key: error for key, error in self.left.items() if key not in held}
        yield from super().get_by_git_annex(waiting)
        for key, folders in self._held.items():
            for file in self.files[key]:
                yield GetResult(
                    file.path, key, size_of(key), "impossible", waits(file.path, folders), PartError.exit_code
                )


def waits(path: str, folders: tuple[str, ...]) -> str:
    """Why metadata is not placed: its own array is not whole, or another one with equal metadata."""
    own = path.rpartition("/")[0]
    others = [folder or "the top" for folder in folders if folder != own]
    if own in folders:
        return "it comes when all chunks that it covers are here: until then, they would be read as fill values"
    shown = some(others, 3)
    return f"it comes when all chunks of {shown} are here, too: git-annex keeps the metadata of these as one file"


def said(zarr: ZarrClone) -> str:
    """Which arrays are whole, in a sentence; and which are not and open all the same, as others brought metadata."""
    parts = zarr.survey().parts
    names = {part: part.folder or "the top" for part in parts}
    whole = [names[part] for part in parts if part.is_array and not part.missing]
    lacking = [part for part in parts if part.missing]
    others = [f"{names[part]} ({part.missing:,} of {part.chunks:,} files are missing)"
              for part in lacking if part.is_array]  # fmt: skip
    wrong = [names[part] for part in lacking if any(map(zarr.clone.has, part.keys))]
    return (
        f"whole arrays: {some(whole, _SHOWN) or 'none'}"
        + (f"; not whole: {some(others, _SHOWN)}" if others else "")
        + (
            f"; CAREFUL: these open and read as fill values where files are missing: {some(wrong, _SHOWN)}"
            if wrong
            else ""
        )
    )
