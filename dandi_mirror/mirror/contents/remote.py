"""What a version holds, file by file, as the archive has it; as a mirror or a clone has it: ``contents``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from dandi_mirror.archive.api.client import Archive
from dandi_mirror.archive.api.listing import asset_pages
from dandi_mirror.archive.api.rows import json_object
from dandi_mirror.archive.names import Name
from dandi_mirror.errors import PartError, UsageError
from dandi_mirror.mirror.contents.local import Contents, File, chosen, file_of, found_file
from dandi_mirror.mirror.contents.zarrs import entries
from dandi_mirror.mirror.format.admission import ContentHosts, Refusal, admit_row
from dandi_mirror.mirror.format.record_reader import admit
from dandi_mirror.model import DRAFT, Finding, Kind, is_asset_id


def contents_there(name: Name, archive: Archive) -> Contents:
    """What a name means, from the archive.

    Raises:
        NotFoundError: the archive has no such Dandiset, version or file.
    """
    if name.blob:
        raise UsageError(f"{name.text} says not of which file it is; name it by the Dandiset, as 000004/PATH")
    found = _of_zarr(str(name.zarr), archive) if name.zarr else _of_assets(name, archive)
    return replace(found, files=list(_inside(name, archive, found.files))) if name.entry else found


def _inside(name: Name, archive: Archive, files: Iterable[File]) -> Iterator[File]:
    """What a name means inside a Zarr; or below a folder that is called like one."""
    for file in files:
        if file.zarr:
            yield from entries(archive, file, name.entry)
        elif replace(name, path=f"{name.path}/{name.entry}").chosen([file.path]):
            yield file


def _of_assets(name: Name, archive: Archive) -> Contents:
    if name.asset and not name.dandiset:
        return Contents("", "", "", [_asset(archive, str(name.asset))])
    row_of = archive.dandiset(str(name.dandiset))
    hosts = ContentHosts(archive.instance, closed=not row_of.is_open)
    version = name.version or (row_of.published or row_of.draft).version
    title = next((row.name for row in (row_of.draft, row_of.published) if row and row.version == version), "")
    if name.asset:
        path = f"/dandisets/{name.dandiset}/versions/{version}/assets/{name.asset}/info/"
        return Contents(str(name.dandiset), version, title, [_listed(archive.session.get(path), hosts)])
    files = _files(archive, str(name.dandiset), version, hosts, {"glob": name.glob, "path": name.prefix or name.path})
    return Contents(str(name.dandiset), version, title, chosen(name, version, files))


def _files(archive: Archive, dandiset: str, version: str, hosts: ContentHosts, where: dict[str, str]) -> list[File]:
    """The files that the archive lists of a version."""
    asked = {key: value for key, value in where.items() if value}
    pages = asset_pages(archive, dandiset, version, repeats=True, where=asked)
    return [_listed(row, hosts) for page in pages for row in page]


def _of_zarr(zarr: str, archive: Archive) -> Contents:
    """A Zarr that is named by its id: the file of the draft that it is, by the name that it was made with."""
    facts = json_object(archive.session.get(path := f"/zarr/{zarr}/"), path)
    dandiset, called = str(facts.get("dandiset") or ""), str(facts.get("name") or "")
    hosts = ContentHosts(archive.instance)
    files = _files(archive, dandiset, DRAFT, hosts, {"path": called}) if dandiset else []
    found = [file for file in files if file.zarr == zarr]
    alone = replace(found_file(Finding("", called, Kind.ZARR, "a Zarr")), zarr=zarr)
    return Contents(dandiset, DRAFT if found else "", "", found or [alone])


def zarr_there(archive: Archive, zarr: File) -> tuple[File, list[File]]:
    """A Zarr with what only the archive knows of it, and the files that it holds; raises as :func:`.zarrs.entries`."""
    if not zarr.zarr:
        zarr = _asset(archive, zarr.asset_id)
    if not zarr.zarr:
        raise PartError(f"{zarr.path} is no Zarr any more; run this again")
    files = entries(archive, zarr)
    return replace(zarr, size=sum(file.size or 0 for file in files)), files


def _asset(archive: Archive, asset_id: str) -> File:
    """An asset by its id alone."""
    return _listed(archive.session.get(f"/assets/{asset_id}/info/"), ContentHosts(archive.instance))


def _listed(row: object, hosts: ContentHosts) -> File:
    """A row of the archive's list, judged as a sync does."""
    admitted = admit_row(row, hosts)
    if not isinstance(admitted, Refusal):
        asset, record = admitted
        return replace(file_of(admit(record)), url=asset.content_url)
    facts = row if isinstance(row, dict) else {}
    size, zarr = facts.get("size"), facts.get("zarr")
    return replace(
        found_file(admitted.finding("")),
        size=size if type(size) is int else None,
        url=admitted.content_url,
        zarr=zarr if is_asset_id(zarr) else "",
    )
