"""Note which Zarrs of the archive an upload is changing, so that a later run may finish what a killed one began.

The archive's Zarr is Pending meanwhile, and does not tell who changes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import orjson

from dandi_mirror.errors import DiskError
from dandi_mirror.files.own import OwnPath, own_path

_ENDING = ".zarr"


class ZarrNotes:
    """The notes of uploads to one Dandiset."""

    def __init__(self, folder: Path | OwnPath, api_url: str, dandiset: str) -> None:
        """``folder`` is made when it is needed."""
        self._folder = own_path(folder)
        self._of = [api_url, dandiset]
        self._prefix = f"{dandiset}-"

    def unfinished(self) -> frozenset[str]:
        """The ids of the Zarrs that an upload from here began to change and did not finish."""
        names = [name for name in self._folder.names(_ENDING) if name.startswith(self._prefix)]
        return frozenset(name.removeprefix(self._prefix).removesuffix(_ENDING) for name in names if self._is_ours(name))

    def _is_ours(self, name: str) -> bool:
        with suppress(OSError, ValueError, KeyError, TypeError):
            return bool(orjson.loads((self._folder / name).read())["of"] == self._of)
        return False

    @contextmanager
    def changing(self, zarr_id: str, path: str) -> Iterator[None]:
        """Keep a note while a Zarr is changed; it stays if that fails.

        Raises:
            DiskError: it cannot be written.
        """
        note = self._folder / f"{self._prefix}{zarr_id}{_ENDING}"
        try:
            note.replace(orjson.dumps({"of": self._of, "path": path}) + b"\n")
        except OSError as error:
            raise DiskError.of(note, error) from error
        yield
        with suppress(OSError):
            note.unlink()
