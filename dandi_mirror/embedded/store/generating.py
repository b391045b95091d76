"""Put Zarrs of any size and number into a draft; their files are computed when somebody asks for them."""

from __future__ import annotations

import uuid
from hashlib import blake2b
from typing import Any

from dandi_mirror.embedded.bucket.generated import GeneratedFiles
from dandi_mirror.embedded.bucket.generated_paths import ome_paths
from dandi_mirror.embedded.store.dandiset import Dandiset
from dandi_mirror.embedded.store.zarr import Zarr


def generated_zarr(
    dandiset: Dandiset, path: str, entries: int, *, zarr_format: int = 2, seed: str = "", **options: Any
) -> Zarr:
    """Put a Complete Zarr with ``entries`` files at ``path`` of the draft.

    All follows from Dandiset, path and ``seed``, its id too.  ``options`` are those of :class:`GeneratedFiles`.
    The checksum is computed when somebody asks for it (a million entries take seconds).
    """
    seed = f"{dandiset.identifier}/{path}/{seed}"
    zarr_id = str(uuid.UUID(bytes=blake2b(f"id {seed}".encode(), digest_size=16).digest(), version=4))
    first = GeneratedFiles(ome_paths(entries, zarr_format), seed, **options)
    zarr = dandiset.add_zarr(path, first=first, zarr_id=zarr_id)
    zarr.complete(later=True)
    dandiset.add_asset(path, zarr=zarr)
    return zarr


def generated_zarrs(dandiset: Dandiset, count: int, entries: int, **options: Any) -> list[Zarr]:
    """Put ``count`` Zarrs of ``entries`` files each into the draft, at ``sub-0000/image-00000.ome.zarr`` and so on."""
    return [
        generated_zarr(dandiset, f"sub-{number // 100:04}/image-{number:05}.ome.zarr", entries, **options)
        for number in range(count)
    ]
