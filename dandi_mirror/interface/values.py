"""What the interface gives: assets and lists of assets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    import pandas

    from dandi_mirror.mirror.contents.files import VersionFile


@dataclass(frozen=True, slots=True)
class Asset:
    """One asset of a version."""

    path: str
    size: int | None
    """Bytes; None if the archive does not say."""
    dandiset: str
    """Six digits."""
    version: str
    """``draft`` or the name of a published version."""
    asset_id: str
    sha256: str
    """Of the content; empty for a Zarr, or as long as the archive has not computed it."""
    key: str
    """The git-annex key of the content; empty if it has none."""
    subjects: tuple[str, ...]
    session: str
    """Empty if the path names no session."""
    here: bool
    """Whether the content is on this machine."""
    state: str
    """Why mirrors do not hold it as a file: ``refused``, ``pending``, ``zarr``, …; empty if they do."""


class Assets(Sequence[Asset]):
    """Some assets of a version, sorted by path; a sequence, and a table when pandas is installed."""

    def __init__(self, assets: Sequence[Asset]) -> None:
        self._assets = tuple(assets)

    @overload
    def __getitem__(self, index: int) -> Asset: ...
    @overload
    def __getitem__(self, index: slice) -> Assets: ...
    def __getitem__(self, index: int | slice) -> Asset | Assets:
        """One asset by its number, or some as another list."""
        return Assets(self._assets[index]) if isinstance(index, slice) else self._assets[index]

    def __len__(self) -> int:
        return len(self._assets)

    def __iter__(self) -> Iterator[Asset]:
        return iter(self._assets)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Assets) and self._assets == other._assets

    def __hash__(self) -> int:
        return hash(self._assets)

    @property
    def size(self) -> int:
        """Bytes of all of them that have a size."""
        return sum(asset.size or 0 for asset in self._assets)

    def frame(self) -> pandas.DataFrame:
        """A table with a row for each asset and a column for each of its fields.

        Raises:
            ImportError: pandas is not installed (``pip install pandas``).
        """
        import pandas

        columns = list(Asset.__dataclass_fields__)
        return pandas.DataFrame([asdict(asset) for asset in self._assets], columns=columns)

    def __repr__(self) -> str:
        some = ", ".join(repr(asset.path) for asset in self._assets[:3])
        more = f", … {len(self) - 3:,} more" if len(self) > 3 else ""
        return f"<Assets: {len(self):,}, {self.size:,} bytes: {some}{more}>"


def asset_of(file: VersionFile, dandiset: str, version: str) -> Asset:
    """The value of a file of a version."""
    state = str(file.state or "")
    return Asset(file.path, file.size, dandiset, version, file.asset_id, file.sha256, file.key, file.subjects,
                 file.session, file.here, state)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Got:
    """What became of one file that was asked for."""

    path: Path
    """On this machine."""
    status: str
    """``ok``: it came; ``notneeded``: it was here; ``impossible`` and ``error``: see ``message``."""
    size: int
    """Bytes."""
    message: str
