"""The endpoints about Zarrs and their entries, answered from manifests."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from dandi_mirror.archive.zarr_entry import ZarrEntry
from dandi_mirror.errors import MirrorError
from dandi_mirror.mirror.locate.zarr_mirrors import all_sources
from dandi_mirror.mirror.zarr.annex_logs import Sources
from dandi_mirror.mirror.zarr.gitmodules import ZarrModule, read_gitmodules
from dandi_mirror.mirror.zarr.repository import ZarrRepositories
from dandi_mirror.model import DRAFT
from dandi_mirror.repo.annex.repository import AnnexRepository
from dandi_mirror.serve.answers import ErrorAnswer, flag, json_response, not_found, page
from dandi_mirror.serve.content import Content, entry_content
from dandi_mirror.serve.sending import Sender
from dandi_mirror.serve.served import Json, ServedMirror
from dandi_mirror.zarr_checksum import counts_of

MOST_LISTED = 1000
"""Entries on a page of ``files/``."""


class Zarrs:
    """Answers about the Zarrs that the drafts of a mirror have, in the states that these have."""

    def __init__(self, served: ServedMirror, api_url: str, sender: Sender, hosts: frozenset[str]) -> None:
        """``hosts``: those besides the archive's own and S3 that may have content."""
        self.served = served
        self.api_url = api_url
        self._sender = sender
        self._hosts = hosts
        self._entries: tuple[tuple[str, str], list[ZarrEntry]] = (("", ""), [])
        self._modules: dict[str, tuple[str, dict[str, ZarrModule]]] = {}
        """By Dandiset: the commit of its draft, and the Zarrs that this names."""
        self._sources: dict[str, tuple[str, Callable[[str], Sources]]] = {}
        """By Dandiset: the commit of its draft, and where the content of its Zarrs is."""

    def zarrs(self, request: Request) -> Response:
        """``GET /zarr/?dandiset=&name=``."""
        wanted, name = request.query_params.get("dandiset", ""), request.query_params.get("name", "").strip()
        found = [
            _record(identifier, path, module)
            for identifier in ([wanted] if wanted else self.served.with_zarrs())
            for path, module in self._zarrs_of(identifier).items()
            if not name or path == name
        ]
        return page(request, f"{self.api_url}/zarr/", found, list)

    def zarr(self, request: Request) -> Response:
        """``GET /zarr/{id}/``."""
        return json_response(_record(*self._found(request)))

    def files(self, request: Request) -> Response:
        """``GET /zarr/{id}/files/?prefix=&after=&limit=&download=``: pages by the last key."""
        identifier, _, module = self._found(request)
        query = request.query_params
        prefix, after = query.get("prefix", "").strip().strip("/"), query.get("after", "").strip().strip("/")
        entries = self.entries(module)
        if flag(request, "download") or request.method == "HEAD":
            return self._download(request, identifier, module, entries, prefix)
        limit = query.get("limit", "")
        most = int(limit) if limit.isdecimal() and 0 < int(limit) <= MOST_LISTED else MOST_LISTED
        start = bisect_right(entries, after.encode(), key=lambda entry: entry.path.encode()) if after else 0
        found: list[ZarrEntry] = []
        for entry in entries[start:]:
            if entry.path.startswith(prefix):
                found.append(entry)
                if len(found) > most:
                    break
        more = len(found) > most
        url = f"{self.api_url}/zarr/{module.zarr_id}/files/"
        following = {**query, "after": found[most - 1].path} if more else {}
        return json_response(
            {
                "next": f"{url}?{urlencode(sorted(following.items()))}" if more else None,
                "results": [_file(entry) for entry in found[:most]],
            }
        )

    def entry(self, request: Request) -> Response:
        """``GET /zarr/{id}/content/PATH``: an entry, under an address to which readers of Zarrs add its path."""
        identifier, _, module = self._found(request)
        return self._download(request, identifier, module, self.entries(module), request.path_params["path"])

    def _download(
        self, request: Request, identifier: str, module: ZarrModule, entries: list[ZarrEntry], path: str
    ) -> Response:
        if not (entry := entry_at(entries, path)):
            raise not_found()
        content = self.content(identifier, module, entry)
        return self._sender.send(request, content, path.rpartition("/")[2], lasts=True)

    def content(self, identifier: str, module: ZarrModule, entry: ZarrEntry) -> Content:
        """Where the content of an entry of a Dandiset's Zarr is."""
        zarr_id = module.zarr_id

        def urls() -> list[str]:
            return self._sources_of(identifier)(zarr_id).urls(zarr_id, entry)

        return entry_content(ZarrRepositories(self.served.mirror.path), zarr_id, entry, urls)

    def base(self, identifier: str, zarr_id: str) -> str:
        """Where the archive's bucket has a Zarr of a Dandiset; empty if that is not known."""
        return self._sources_of(identifier)(zarr_id).base or ""

    def _sources_of(self, identifier: str) -> Callable[[str], Sources]:
        """Where the content of a Dandiset's Zarrs is: read once for each state of its draft."""
        oid = self.served.versions(identifier).get(DRAFT, "")
        known = self._sources.get(identifier)
        if not known or known[0] != oid:
            clone = AnnexRepository(self.served.mirror.dataset(identifier).path)
            clone.read_config()
            known = self._sources[identifier] = oid, all_sources(clone, self.served.mirror, identifier, self._hosts)
        return known[1]

    def entries(self, module: ZarrModule) -> list[ZarrEntry]:
        """The entries of a state; those of the last one stay in memory, because a list is read page by page.

        Raises:
            ErrorAnswer: 404, they cannot be read.
        """
        state = module.zarr_id, module.checksum
        known, entries = self._entries
        if known == state:
            return entries
        try:
            entries = list(self.served.mirror.manifests.entries(*state))
        except MirrorError as error:
            raise ErrorAnswer(404, f"the entries of this Zarr cannot be read here: {error}") from None
        self._entries = state, entries
        return entries

    def _found(self, request: Request) -> tuple[str, str, ZarrModule]:
        return self._found_by(request.path_params["zarr"])

    def _found_by(self, zarr_id: str) -> tuple[str, str, ZarrModule]:
        for identifier in self.served.with_zarrs():
            for path, module in self._zarrs_of(identifier).items():
                if module.zarr_id == zarr_id:
                    return identifier, path, module
        raise not_found()

    def owner(self, zarr_id: str) -> str:
        """The Dandiset whose draft has a Zarr.

        Raises:
            ErrorAnswer: 404, none that is open has it.
        """
        return self._found_by(zarr_id)[0]

    def _zarrs_of(self, identifier: str) -> dict[str, ZarrModule]:
        if not self.served.dandiset(identifier) or not (oid := self.served.versions(identifier).get(DRAFT)):
            return {}
        # a viewer asks for one chunk after the other: git is started only when a draft has moved
        known, modules = self._modules.get(identifier, ("", {}))
        if known != oid:
            with self.served.mirror.dataset(identifier).reader() as reader:
                (content,) = reader.read([f"{oid}:.gitmodules"], instead=b"")
            modules = read_gitmodules(content or b"")
            self._modules[identifier] = oid, modules
        return modules


def _record(identifier: str, path: str, module: ZarrModule) -> Json:
    files, size = counts_of(module.checksum)
    record = {"name": path, "dandiset": identifier, "zarr_id": module.zarr_id, "status": "Complete"}
    return record | {"checksum": module.checksum, "file_count": files, "size": size}


def entry_at(entries: list[ZarrEntry], path: str) -> ZarrEntry | None:
    """The entry at a path; those with odd paths are not in the order of their bytes."""
    place = bisect_left(entries, path.encode(), key=lambda entry: entry.path.encode())
    if place < len(entries) and entries[place].path == path:
        return entries[place]
    return next((entry for entry in entries if entry.path == path), None)


def _file(entry: ZarrEntry) -> Json:
    modified = (entry.modified or "1970-01-01T00:00:00Z").replace("T", " ").replace("Z", "+00:00")
    return {"Key": entry.path, "LastModified": modified, "ETag": entry.etag, "Size": entry.size}
