"""The mirrors on this machine that may have the states of a dataset's Zarrs, and where the content of these is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from dandi_mirror.mirror.format.admission import ContentHosts
from dandi_mirror.mirror.state.layout import Mirror, mirror_of
from dandi_mirror.mirror.zarr.annex_logs import Sources
from dandi_mirror.mirror.zarr.manifests import Manifests
from dandi_mirror.repo.annex.repository import AnnexRepository


def manifests_of(clone: AnnexRepository, dandiset: str, named: Path) -> Iterator[tuple[Manifests, Mirror]]:
    """The manifests that may have the states of a dataset's Zarrs, each with its mirror; first those of its own."""
    if (own := mirror_of(clone.path, dandiset)).alone:
        yield own.manifests, own
    for mirror in mirrors_of(clone, dandiset, named):
        yield mirror.manifests, mirror


def mirrors_of(clone: AnnexRepository, dandiset: str, named: Path) -> Iterator[Mirror]:
    """The mirrors that may have a Zarr of a dataset: its own, that which was named, and that it was cloned from."""
    if not (own := mirror_of(clone.path, dandiset)).alone:
        yield own
    yield Mirror(named.absolute())
    url = clone.config.get("remote.origin.url", "")
    if origin := _on_disk(url, clone.path):
        yield Mirror((origin.parent if origin.name == ".git" else origin).parent)


def _on_disk(url: str, folder: Path) -> Path | None:
    """The folder that the address of a remote names, as git reads it from ``folder``; None if it is none on this disk.

    A colon before the first slash makes a text the address of another machine.
    """
    if url.startswith("file://"):
        url = unquote(urlsplit(url).path)
    elif ":" in url.partition("/")[0]:
        return None
    return Path(os.path.realpath(folder / url)) if url else None


def sources_of(clone: AnnexRepository, mirror: Mirror, dandiset: str, zarr_id: str, hosts: frozenset[str]) -> Sources:
    """Where the content of a Zarr is, by what the mirror remembers of its asset."""
    return all_sources(clone, mirror, dandiset, hosts)(zarr_id)


def all_sources(
    clone: AnnexRepository, mirror: Mirror, dandiset: str, hosts: frozenset[str]
) -> Callable[[str], Sources]:
    """Where the content of each Zarr is, by its id; reads what the mirror remembers only once."""
    closed = clone.closed_api()
    api = closed or clone.api()
    known = mirror.asset_cache(dandiset).load(ContentHosts.of_api(api, hosts)).values()
    bases = {asset.zarr: f"{asset.content_url.rstrip('/')}/" for asset in known if asset.zarr and asset.content_url}
    return lambda zarr_id: Sources(api, bases.get(zarr_id), bool(closed))
