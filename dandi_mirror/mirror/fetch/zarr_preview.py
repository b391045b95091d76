"""What a ``get`` of a Zarr would bring that is not installed yet: a mirror's manifest tells."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dandi_mirror.mirror.contents.selection import pick_within, select
from dandi_mirror.mirror.fetch.get_plan import GetPlan
from dandi_mirror.mirror.fetch.preview import ref_of
from dandi_mirror.mirror.fetch.zarr_install import WantedZarr, no_mirror, wanted, zarrs_of
from dandi_mirror.mirror.locate.targets import Target
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.zarr.entries import entry_key, refuse_entry
from dandi_mirror.repo.annex.content import AnnexedFile
from dandi_mirror.repo.annex.keys import size_of
from dandi_mirror.repo.annex.repository import AnnexRepository, Tracked


def source_zarrs(place: Target) -> tuple[AnnexRepository, list[WantedZarr]]:
    """The dataset from which a clone would be made, if it is here, and the Zarrs that are named; leaves other paths."""
    source = AnnexRepository(Path(place.source))
    ref = ref_of(place)
    if not place.source or not source.dataset.exists() or not source.dataset.ref(ref):
        return source, []
    source.read_config()
    zarrs, place.paths = wanted(zarrs_of(source, f"{ref}^{{commit}}"), place.paths)
    return source, zarrs


def plan_zarr(zarr: WantedZarr, dandiset: str, mirrors: Iterable[Mirror], most: int | None) -> GetPlan:
    """Decide which entries of a state somebody has asked for, ``most`` bytes of them; none of it is here.

    Raises:
        PartError: no mirror on this machine has the manifest of the state.
        BadManifest: the manifest is damaged.
    """
    module = zarr.module
    for mirror in mirrors:
        if mirror.manifests.has(module.zarr_id, module.checksum):
            keys = {
                entry.path: entry_key(entry.path, entry.size, entry.etag)
                for entry in mirror.manifests.read(module.zarr_id, module.checksum)
                if not refuse_entry(entry.path)
            }
            chosen, nothing = select(keys, zarr.paths)
            sized = [AnnexedFile(path, key, size_of(key)) for path, key in keys.items() if path in chosen]
            kept = {file.key for file in pick_within(sized, {}, most)}
            missing = [Tracked(file.path, file.key, pointer=False) for file in sized if file.key in kept]
            return GetPlan(missing=missing, nothing=nothing, beyond=len(sized) - len(missing))
    raise no_mirror(module.path, dandiset)
