"""The files of a version, as the archive lists them; :mod:`.local` reads a mirror or clone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.archive.api.entries import json_object
from dandi_mirror.archive.api.listing import asset_pages
from dandi_mirror.archive.api.zarrs import list_zarrs, zarr_state
from dandi_mirror.archive.name_parts import no_version
from dandi_mirror.archive.names import Name
from dandi_mirror.errors import NotFoundError, PartError, UsageError
from dandi_mirror.mirror.contents.files import Contents, VersionFile, file_of, file_of_finding
from dandi_mirror.mirror.contents.matching import matching_files
from dandi_mirror.mirror.contents.zarrs import require_state, zarr_files
from dandi_mirror.mirror.format.admission import ContentHosts, Refusal, admit_entry
from dandi_mirror.mirror.format.record_reader import admit
from dandi_mirror.model import DRAFT, Finding, FindingKind, ListedDandiset, is_asset_id
from dandi_mirror.zarr_checksum import is_checksum

FEW = 3
"""Zarrs; of more than these, the archive is asked for the list of all states."""


def remote_contents(name: Name, archive: ArchiveClient) -> Contents:
    """Ask the archive for the files that a name identifies.

    Raises:
        NotFoundError: the archive has no such Dandiset, version or file.
        UsageError: the name does not identify a file.
    """
    if name.blob:
        raise UsageError(f"{name.text} does not identify a file; write Dandiset and path, for example 000004/PATH")
    found = _of_zarr(str(name.zarr), archive) if name.zarr else _of_assets(name, archive)
    if name.entry:
        return replace(found, files=list(_inside(name, archive, found.files)))
    for file in found.files if name.state else ():
        require_state(archive, file, name.state)
    return found


def _inside(name: Name, archive: ArchiveClient, files: Iterable[VersionFile]) -> Iterator[VersionFile]:
    """Yield the files that a name identifies inside a Zarr, or below a folder whose name ends as a Zarr's does."""
    for file in files:
        if file.zarr:
            yield from zarr_files(archive, file, name)
        elif replace(name, path=f"{name.path}/{name.entry}").chosen([file.path]):
            yield file


def _of_assets(name: Name, archive: ArchiveClient) -> Contents:
    """Return the files of a name that is not the id of a Zarr."""
    if name.asset and not name.dandiset:
        return Contents("", "", "", [_asset(archive, str(name.asset))])
    dandiset = archive.dandiset(str(name.dandiset))
    hosts = ContentHosts(archive.instance, closed=not dandiset.is_open)
    version = name.version or (dandiset.published or dandiset.draft).version
    title = _title(archive, dandiset, version)
    if name.asset:
        path = f"/dandisets/{name.dandiset}/versions/{version}/assets/{name.asset}/info/"
        return Contents(str(name.dandiset), version, title, [_listed(archive.session.get(path), hosts)])
    try:
        where = {"glob": name.glob, "path": name.prefix or name.path}
        files = _files(archive, str(name.dandiset), version, hosts, where)
    except NotFoundError:
        names = [entry.version for entry in archive.versions(str(name.dandiset))[0]]
        if version in names:
            raise
        raise NotFoundError(no_version(str(name.dandiset), version, archive.instance.api_url, names)) from None
    files = matching_files(name, version, files)
    return Contents(str(name.dandiset), version, title, list(_now(files, archive, str(name.dandiset), version)))


def _title(archive: ArchiveClient, dandiset: ListedDandiset, version: str) -> str:
    """Return the title of a version; the archive is asked for it, unless the entry of the Dandiset has it."""
    known = [entry for entry in (dandiset.draft, dandiset.published) if entry and entry.version == version]
    known = known or [entry for entry in archive.versions(dandiset.identifier)[0] if entry.version == version]
    return known[0].name if known else ""


def _now(files: list[VersionFile], archive: ArchiveClient, dandiset: str, version: str) -> Iterator[VersionFile]:
    """Yield the files; the Zarrs of a draft with the states that they have now, which their records may lag behind."""
    zarrs = [file.zarr for file in files if file.zarr] if version == DRAFT else []
    if not zarrs:
        yield from files
        return
    listed = list_zarrs(archive, dandiset) if len(zarrs) > FEW else None
    for file in files:
        if not file.zarr:
            yield file
            continue
        zarr = listed.get(file.zarr) if listed else zarr_state(archive, file.zarr)
        checksum = zarr.checksum if zarr else ""
        yield file.in_state(checksum) if checksum else replace(file, checksum="")


def _files(
    archive: ArchiveClient, dandiset: str, version: str, hosts: ContentHosts, where: dict[str, str]
) -> list[VersionFile]:
    """Return the files that the archive lists for a version; ``where`` is sent to it as a query."""
    query = {key: value for key, value in where.items() if value}
    pages = asset_pages(archive, dandiset, version, repeats=True, where=query)
    return [_listed(entry, hosts) for page in pages for entry in page]


def _of_zarr(zarr: str, archive: ArchiveClient) -> Contents:
    """Return a Zarr by its id: the asset of the draft that has the path that the Zarr was created with."""
    facts = json_object(archive.session.get(path := f"/zarr/{zarr}/"), path)
    dandiset, created_as = str(facts.get("dandiset") or ""), str(facts.get("name") or "")
    hosts = ContentHosts(archive.instance)
    files = _files(archive, dandiset, DRAFT, hosts, {"path": created_as}) if dandiset else []
    found = [file for file in files if file.zarr == zarr]
    alone = replace(file_of_finding(Finding("", created_as, FindingKind.ZARR, "a Zarr")), zarr=zarr)
    now = facts.get("checksum")
    files = [file.in_state(now) if isinstance(now, str) and is_checksum(now) else file for file in found or [alone]]
    return Contents(dandiset, DRAFT if found else "", "", files)


def remote_zarr(archive: ArchiveClient, zarr: VersionFile, state: str = "") -> tuple[VersionFile, list[VersionFile]]:
    """Return a Zarr with its size, and its files in the one ``state`` that is wanted; empty: that of now.

    Raises what :func:`.zarr_files` raises.
    """
    if not zarr.zarr:
        zarr = _asset(archive, zarr.asset_id)
    if not zarr.zarr:
        raise PartError(f"{zarr.path} is not a Zarr any more; run the command again")
    files = zarr_files(archive, zarr, Name("", state=state))
    return replace(zarr, size=sum(file.size or 0 for file in files)), files


def _asset(archive: ArchiveClient, asset_id: str) -> VersionFile:
    """Return an asset by its id alone."""
    return _listed(archive.session.get(f"/assets/{asset_id}/info/"), ContentHosts(archive.instance))


def _listed(entry: object, hosts: ContentHosts) -> VersionFile:
    """Return the file of an entry of the archive's list, checked as a sync checks it."""
    admitted = admit_entry(entry, hosts)
    if not isinstance(admitted, Refusal):
        asset, record = admitted
        file = replace(file_of(admit(record)), url=asset.content_url, zarr=asset.zarr)
        return replace(file, checksum=asset.zarr_checksum if is_checksum(asset.zarr_checksum) else "")
    facts = entry if isinstance(entry, dict) else {}
    size, zarr = facts.get("size"), facts.get("zarr")
    return replace(
        file_of_finding(admitted.finding("")),
        size=size if type(size) is int else None,
        url=admitted.content_url,
        zarr=zarr if is_asset_id(zarr) else "",
    )
