"""Read a version on this machine as its exports describe it; asks nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dandi_mirror.addresses import Allowed, refuse_url
from dandi_mirror.archive.instances import api_url
from dandi_mirror.errors import UsageError
from dandi_mirror.export.version import MEDIA_TYPE, ExportFile, ExportVersion, LeftOut, shareable
from dandi_mirror.mirror.contents.files import Contents, VersionFile
from dandi_mirror.mirror.contents.links import urls
from dandi_mirror.mirror.contents.local import local_contents
from dandi_mirror.mirror.contents.local_zarrs import LocalZarrs
from dandi_mirror.mirror.copies.places import Knowledge, read_copies
from dandi_mirror.mirror.copies.repositories import MirrorRepository
from dandi_mirror.mirror.format.admission import ContentHosts
from dandi_mirror.mirror.format.record_reader import dandiset_record
from dandi_mirror.mirror.history.cited import cited
from dandi_mirror.mirror.locate.versions import commit_of_version, dataset_of
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.repo.annex.repository import AnnexRepository, copy_urls
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.mirrors import is_http, place_of
from dandi_mirror.workflows.access.current_clone import api_here
from dandi_mirror.workflows.copies.copies import mirrors_in
from dandi_mirror.workflows.names import naming

if TYPE_CHECKING:
    from dandi_mirror.archive.names import Name
    from dandi_mirror.config import Settings

Urls = Callable[[str], list[str]]
"""Returns the URLs of a key."""


@dataclass(frozen=True, slots=True)
class ExportSource:
    """A version on this machine, and whose settings count for it."""

    contents: Contents
    dataset: Dataset
    settings: Settings
    mirror_path: Path
    allowed: Allowed

    @property
    def api(self) -> str:
        """The URL of the archive's API."""
        return api_url(self.settings.instance)

    @property
    def content_hosts(self) -> ContentHosts:
        """The hosts at which the archive has content."""
        return ContentHosts.of_api(self.api, self.hosts)

    @property
    def hosts(self) -> frozenset[str]:
        """More hosts that may hold content."""
        return frozenset(self.settings.content_hosts)


def find_version(name: Name, mirror_path: Path, folder: Path | None, instance: str | None) -> ExportSource:
    """Find the version that a name means, in the mirror, or in the clone at ``folder``.

    Raises:
        UsageError: it means no whole version, or none that is here.
    """
    if not name.dandiset or not name.whole:
        raise UsageError(f"{name.text}: an export is of a whole version; write its id, an @ and the version")
    settings = naming.settings_for(mirror_path, [name], api_here(name, mirror_path, folder), instance=instance)
    contents = local_contents(name, mirror_path, folder)
    if not contents or not contents.dataset:
        if name.version:
            commit_of_version(
                Dataset(folder) if folder else dataset_of(mirror_path, name.dandiset), name.dandiset, name.version
            )
        raise UsageError(
            f"{name.dandiset} is not in {mirror_path}; mirror it: dandi-mirror sync {name.dandiset} -d DIR"
        )
    clone = AnnexRepository(contents.dataset.path)
    clone.read_config()
    allowed = Allowed.named(api_url(settings.instance), frozenset(settings.content_hosts), clone.addresses)
    return ExportSource(contents, contents.dataset, settings, mirror_path, allowed)


def describe(source: ExportSource) -> ExportVersion:
    """Read all that exports say about the version.

    Raises:
        PartError: no sync made this version.
    """
    contents, record = source.contents, dandiset_record(source.contents.record)
    state = commit_of_version(source.dataset, contents.dandiset, contents.version)
    embargoed = _is_embargoed(record) or bool(AnnexRepository(source.dataset.path).closed_api())
    found: list[ExportFile] = []
    zarrs, left_out, pages = list[ExportFile](), list[LeftOut](), set[str]()
    known = urls(contents, source.content_hosts)
    copies: Urls = (lambda key: []) if embargoed else _copies(source)
    for file in contents.files:
        made = _file(file, source, [] if embargoed else [*_direct(known[file.path]), *copies(file.key)])
        if isinstance(made, LeftOut):
            left_out.append(made)
        elif made.page in pages:
            left_out.append(LeftOut(file.path, "another file has the same asset id"))
        else:
            pages.add(made.page)
            (zarrs if file.is_zarr else found).append(made)
    citation = cited(source.dataset, state.commit, state.seconds)
    return ExportVersion(
        contents.dandiset, contents.version, record, contents.record, citation, embargoed, tuple(found), tuple(zarrs),
        tuple(left_out),
    )  # fmt: skip


def entries(source: ExportSource, version: ExportVersion) -> tuple[Iterator[ExportFile], tuple[LeftOut, ...]]:
    """Return the entries of the version's Zarrs, and the Zarrs of which no mirror on this machine has them."""
    zarrs = [file for file in source.contents.files if file.is_zarr and version.zarrs]
    if not zarrs:
        return iter(()), ()
    local = LocalZarrs(source.dataset, version.dandiset, source.mirror_path, source.hosts)
    known = [zarr for zarr in zarrs if local.knows(zarr)]
    why = "no mirror on this machine has the entries of this Zarr"
    left = tuple(LeftOut(zarr.path, why) for zarr in zarrs if zarr not in known)
    every = (entry for zarr in known for entry in local.files(zarr, urls=True) if not entry.state)
    return (_entry(entry, source, version.embargoed) for entry in every), left


def _is_embargoed(record: dict[str, object]) -> bool:
    access = record.get("access")
    entries = access if isinstance(access, list) else []
    return any(isinstance(one, dict) and one.get("status") == "dandi:EmbargoedAccess" for one in entries)


def _direct(found: tuple[str, ...]) -> list[str]:
    """Return the URLs that are not the API's."""
    return [url for url in found if "/assets/" not in url]


def _file(file: VersionFile, source: ExportSource, found: list[str]) -> ExportFile | LeftOut:
    if file.state and not file.is_zarr:
        return LeftOut(file.path, file.reason)
    if not file.asset_id or file.size is None or not (file.sha256 or file.is_zarr):
        return LeftOut(file.path, "its record has no id, size or SHA-256")
    kind = file.media_type if MEDIA_TYPE.fullmatch(file.media_type) else "application/octet-stream"
    ending = "" if file.is_zarr else "download/"
    page = f"{source.api}/assets/{file.asset_id}/{ending}"
    return ExportFile(
        file.path, file.size, file.sha256, "", kind, file.time, page, () if file.is_zarr else _usable(source, found)
    )


def _entry(entry: VersionFile, source: ExportSource, embargoed: bool) -> ExportFile:
    places = urls(Contents("", "", "", [entry]), source.content_hosts)[entry.path]
    first = _usable(source, [entry.url] if entry.url and not embargoed else [])
    return ExportFile(
        entry.path, entry.size or 0, md5=entry.md5, modified=entry.time, urls=first,
        page=next(shareable(reversed(places)), ""),
    )  # fmt: skip


def _usable(source: ExportSource, found: list[str]) -> tuple[str, ...]:
    """Return the URLs that may be shared, and lead to no machine that only the repository names."""
    return tuple(url for url in dict.fromkeys(shareable(found)) if not refuse_url(url, source.allowed))


def _copies(source: ExportSource) -> Urls:
    """Return what finds the copies of a key in other mirrors, of which these have proved that they have them."""
    mirror, dandiset = Mirror(source.mirror_path), source.contents.dandiset
    if source.dataset.path != mirror.dataset(dandiset).path:
        return lambda key: []
    # a private mirror, a folder or an ssh address is not for everybody
    others = {
        sibling.name: sibling
        for sibling in mirrors_in(source.settings, mirror, needed=False)
        if is_http(sibling) and not sibling.private
    }
    if not others:
        return lambda key: []
    known = Knowledge.of(mirror, others, source.settings.prove_days)
    copies = read_copies(known, MirrorRepository(dandiset))
    proved = [place for place in copies.elsewhere if place.counts]

    def find_version(key: str) -> list[str]:
        there = copies.locations.get(key, frozenset())
        names = [place.name for place in proved if place.uuid in there]
        return [copy_urls(place_of(others[name], dandiset), key)[0] for name in names]

    return find_version
