"""The endpoints about assets: lists, records, folders, content."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from dandi_mirror.serve.answers import ErrorAnswer, flag, json_response, not_found, page
from dandi_mirror.serve.content import find_content, urls_of
from dandi_mirror.serve.repeated import lasts
from dandi_mirror.serve.sending import Sender
from dandi_mirror.serve.served import Json, ServedMirror, depends_on_logs
from dandi_mirror.serve.versions import Child, ServedAsset, VersionAssets
from dandi_mirror.serve.zarrs import Zarrs

ORDERS: dict[str, Callable[[ServedAsset], str]] = {
    "path": lambda row: row.path,
    "created": lambda row: row.created,
    "modified": lambda row: row.created,
}
ZARR_CONTENT = "Unable to provide download link for zarr assets. Please browse the zarr files directly to do so."


class Assets:
    """Answers about the assets of a mirror's versions."""

    def __init__(self, served: ServedMirror, api_url: str, sender: Sender, zarrs: Zarrs) -> None:
        self.served = served
        self.api_url = api_url
        self._sender = sender
        self._zarrs = zarrs

    def assets(self, request: Request) -> Response:
        """``GET …/assets/``: by ``path``, ``glob``, ``zarr``; with ``metadata``, in an ``order``."""
        assets = self._assets(request)
        query = request.query_params
        rows = assets.rows
        if path := query.get("path"):
            exact = [row for row in assets.below(path) if row.path == path]
            rows = exact or [row for row in rows if row.path.lower().startswith(path.lower())]
        if glob := query.get("glob"):
            fits = _like(glob).fullmatch
            rows = [row for row in rows if fits(row.path)]
        if flag(request, "zarr"):
            rows = [row for row in rows if row.path in assets.zarrs]
        order = query.get("order") or "created"
        if not (key := ORDERS.get(order.removeprefix("-"))):
            raise ErrorAnswer(400, f"order: Select a valid choice. {order} is not one of the available choices.")
        rows = sorted(rows, key=key, reverse=order.startswith("-"))
        metadata = flag(request, "metadata")
        return page(request, self._url(request), rows, lambda some: self._entries(assets, some, metadata), lazy=True)

    def _entries(self, assets: VersionAssets, rows: Sequence[ServedAsset], metadata: bool) -> list[Any]:
        urls = urls_of(assets, list(rows)) if metadata else {}
        return [self._entry(assets, row, urls if metadata else None) for row in rows]

    def _entry(self, assets: VersionAssets, row: ServedAsset, urls: dict[str, tuple[str, ...]] | None) -> Json:
        """The entry of an asset; with ``urls``, with its metadata.

        A mirror does not keep the ids of blobs: the asset's own stands for it.  Nor does it keep when an asset was last
        checked: ``modified`` is when the archive got it.
        """
        zarr = assets.zarrs.get(row.path)
        entry: Json = {
            "asset_id": row.asset_id,
            "blob": None if zarr else row.asset_id,
            "zarr": zarr.zarr_id if zarr else None,
        }
        entry |= {"path": row.path, "size": row.size, "created": row.created, "modified": row.created}
        return entry if urls is None else entry | {"metadata": self._metadata(assets, row, urls)}

    def _metadata(self, assets: VersionAssets, row: ServedAsset, urls: dict[str, tuple[str, ...]]) -> Json:
        metadata = assets.record(row).get("metadata")
        zarr = assets.zarrs.get(row.path)
        # dandifs reads the first URL that does not end with /download/: at the archive that of the bucket
        bytes_at = (
            f"{self.api_url}/zarr/{zarr.zarr_id}/content/" if zarr else f"{self.api_url}/assets/{row.asset_id}/content/"
        )
        own = [f"{self.api_url}/assets/{row.asset_id}/download/", bytes_at]
        elsewhere = [url for url in urls.get(row.asset_id, ()) if "/assets/" not in url]
        # who is told of a bucket lists it; where the server runs offline there may be none
        if zarr and not self._sender.is_offline and (base := self._zarrs.base(assets.dataset.path.name, zarr.zarr_id)):
            elsewhere.append(base)
        return (metadata if isinstance(metadata, dict) else {}) | {"contentUrl": [*own, *elsewhere]}

    def asset(self, request: Request) -> Response:
        """``GET …/assets/{id}/``: the metadata."""
        assets, row = self._found(request)
        depends_on_logs(assets.dataset)
        lasts()
        return json_response(self._metadata(assets, row, urls_of(assets, [row])))

    def asset_info(self, request: Request) -> Response:
        """``GET …/assets/{id}/info/``: the entry, with the metadata."""
        assets, row = self._found(request)
        depends_on_logs(assets.dataset)
        lasts()
        return json_response(self._entries(assets, [row], True)[0])

    def validation(self, request: Request) -> Response:
        """``GET …/assets/{id}/validation/``: a mirror holds what the archive has checked."""
        self._found(request)
        return json_response({"status": "Valid", "validation_errors": []})

    def download(self, request: Request) -> Response:
        """``GET …/assets/{id}/download/``: the content."""
        how = request.query_params.get("content_disposition", "attachment")
        if how not in {"attachment", "inline"}:
            raise ErrorAnswer(400, f'content_disposition: "{how}" is not a valid choice.')
        assets, row = self._found(request)
        if row.path in assets.zarrs:
            raise ErrorAnswer(400, ZARR_CONTENT)
        return self._sender.send(request, find_content(assets, row), row.path.rpartition("/")[2], how, lasts=True)

    def paths(self, request: Request) -> Response:
        """``GET …/assets/paths/?path_prefix=``: one folder."""
        assets = self._assets(request)
        folder = request.query_params.get("path_prefix", "").strip("/")
        children = assets.children(folder)
        if children is None:
            raise ErrorAnswer(404, "Specified path not found.")
        is_file = len(children) == 1 and children[0].path == folder
        children = [] if is_file else sorted(children, key=lambda child: child.path)
        return page(request, self._url(request), children, lambda some: [self._child(child) for child in some])

    def _child(self, child: Child) -> Json:
        row = child.row
        asset = row and {"asset_id": row.asset_id, "url": f"{self.api_url}/assets/{row.asset_id}/download/"}
        totals = {"aggregate_files": child.files, "aggregate_size": child.size}
        return {"path": child.path, "version": 1, **totals, "asset": asset}

    def at_path(self, request: Request) -> Response:
        """``GET /webdav/assets/atpath/``: an asset or a folder, with what is in it if ``children``."""
        query = request.query_params
        assets = self._of(query.get("dandiset_id", ""), query.get("version_id", ""))
        path, metadata = query.get("path", ""), flag(request, "metadata")
        folder = path.strip("/")
        children = assets.children(folder)
        exact = children[0].row if children and children[0].path == folder else None
        if children is None or (exact and path.endswith("/")):
            what = "Folder" if path.endswith("/") else "Folder or asset"
            raise ErrorAnswer(404, f"{what} not found at {folder}")
        found = sorted(children, key=lambda child: child.path) if exact or flag(request, "children") else []
        if folder and not exact:
            found = [Child(folder, sum(c.files for c in children), sum(c.size for c in children), None), *found]
        url = f"{self.api_url}/webdav/assets/atpath/"
        return page(request, url, found, lambda some: [self._resource(assets, child, metadata) for child in some])

    def _resource(self, assets: VersionAssets, child: Child, metadata: bool) -> Json:
        if child.row:
            return {"type": "asset", "resource": self._entries(assets, [child.row], metadata)[0]}
        folder = {"path": child.path, "total_assets": child.files, "total_size": child.size}
        return {"type": "folder", "resource": folder}

    def _url(self, request: Request) -> str:
        return self.api_url + request.url.path.removeprefix("/api")

    def _assets(self, request: Request) -> VersionAssets:
        return self._of(request.path_params["dandiset"], request.path_params["version"])

    def _of(self, identifier: str, version: str) -> VersionAssets:
        if not self.served.dandiset(identifier):
            raise not_found()
        if oid := self.served.versions(identifier).get(version):
            return self.served.assets(identifier, oid)
        raise not_found()

    def _found(self, request: Request) -> tuple[VersionAssets, ServedAsset]:
        """The asset of the URL; a version in it must exist, and is looked into first."""
        asset_id = request.path_params["asset"]
        if "version" in request.path_params:
            assets = self._assets(request)
            if row := assets.by_id.get(asset_id):
                return assets, row
        if found := self.served.find(asset_id):
            return found[1], found[2]
        raise not_found()


def _like(glob: str) -> re.Pattern[str]:
    """The server's globs: ``*`` is any text, also with slashes; case does not matter."""
    return re.compile(".*".join(re.escape(part) for part in glob.split("*")), re.IGNORECASE | re.DOTALL)
