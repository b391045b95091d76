"""Which records and URLs of the archive may reach git: one pure decision for each, before any process sees it.

The rules are those of ``docs/format.md`` ("Admitted"); those for paths are in ``paths.py``.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import Any

from dandi_mirror import canonical
from dandi_mirror.addresses import is_loopback
from dandi_mirror.archive.http.response import MissingRecord
from dandi_mirror.archive.zarr_entry import LARGEST_OBJECT
from dandi_mirror.digests import SHA256, ZARR_CHECKSUM, digest_in, is_sha256, is_zarr_record
from dandi_mirror.mirror.format.annex_metadata import annex_fields
from dandi_mirror.model import Asset, Finding, FindingKind, Instance, is_asset_id
from dandi_mirror.paths import refuse_path
from dandi_mirror.repo.annex.keys import annex_key

LARGEST_RECORD = 8 * 2**20  # bytes of canonical JSON

_S3_HOST = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\.s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com")
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9.-]+(?::[0-9]{1,5})?)(?P<path>/[!-\"$->@-\[\]-~]*)"
    r"(?:\?(?P<query>[!-\"$-\[\]-~]*))?"
)
_VERSION_QUERY = re.compile(r"(?:^|&)(versionId=[A-Za-z0-9._~+/=-]+)")
_UNREADABLE = "the record has no metadata that can be read"
_UNREAD = "its record did not come; the next run asks for it again"


@dataclass(frozen=True, slots=True)
class ContentHosts:
    """The hosts at which content may be, and so the URLs that git-annex may get."""

    instance: Instance
    named: frozenset[str] = frozenset()
    """Further ``host`` or ``host:port``, from the settings."""
    closed: bool = False
    """Whether the Dandiset is embargoed: S3 then answers only signed URLs."""

    @classmethod
    def of_api(cls, api_url: str, named: frozenset[str]) -> ContentHosts:
        """Those of an archive of which only the API's URL is known."""
        return cls(Instance("", api_url), named)

    def unknown(self, url: object) -> str:
        """The host of a URL that would be admitted at another one; empty if its host is not what is wrong."""
        parts = _URL.fullmatch(url) if isinstance(url, str) else None
        if parts is None or not self._admits_scheme(parts["scheme"]) or _climbs(parts["path"]):
            return ""
        host = parts["host"].lower()
        return "" if self._admits_host(parts["scheme"], host) else host

    def admit(self, url: object) -> str | None:
        """The URL as it may be registered (of its query only ``versionId`` is kept), or None."""
        parts = _URL.fullmatch(url) if isinstance(url, str) else None
        if parts is None or not self._admits_host(parts["scheme"], parts["host"].lower()):
            return None
        if _climbs(parts["path"]):
            return None
        base = f"{parts['scheme']}://{parts['host']}{parts['path']}"
        version = _VERSION_QUERY.search(parts["query"]) if parts["query"] else None
        return f"{base}?{version[1]}" if version else base

    def admits(self, url: str) -> bool:
        """Whether a sync could have registered a URL: it is the API's, or :meth:`admit` takes it."""
        return url.startswith(f"{self.instance.api_url}/") or self.admit(url) is not None

    def _admits_host(self, scheme: str, host: str) -> bool:
        own = (scheme, host) == self._own_origin
        known = own or host in self.named or _S3_HOST.fullmatch(host) is not None
        return known and self._admits_scheme(scheme)

    def _admits_scheme(self, scheme: str) -> bool:
        return scheme == "https" or is_loopback(self._own_origin[1].partition(":")[0])

    @property
    def _own_origin(self) -> tuple[str, str]:
        scheme, _, rest = self.instance.api_url.partition("://")
        return scheme, rest.partition("/")[0]


def _climbs(path: str) -> bool:
    """Whether a URL's path has a ``.`` or ``..`` in it."""
    return "/." in path and any(part in {".", ".."} for part in path.split("/"))


@dataclass(frozen=True, slots=True)
class Refusal:
    """An entry of a listing that gives no asset: the reason, and what can be kept of it."""

    kind: FindingKind
    path: str
    reason: str
    asset_id: str
    """Empty if the listing has none that is valid."""
    size: int | None = None
    sha256: str | None = None
    """With ``size``, if the content can be downloaded all the same."""
    record: bytes | None = None
    content_url: str | None = None

    def finding(self, version: str) -> Finding:
        """The finding that reports it."""
        return Finding(version, self.path, self.kind, self.reason, self.asset_id)


def admit_entry(entry: object, hosts: ContentHosts) -> tuple[Asset, bytes] | Refusal:
    """Admit an entry of a listing: return an asset and its canonical record, or the refusal.

    The asset's ``record`` is None until the caller stores the bytes.
    """
    if not isinstance(entry, dict):
        return Refusal(FindingKind.REFUSED, "", "the row is not an object", "")
    shown = shown_path(entry)
    asset_id, metadata = entry.get("asset_id"), entry.get("metadata")
    if not is_asset_id(asset_id):
        return Refusal(FindingKind.REFUSED, shown, "the asset id is not a UUID of version 4", "")
    if isinstance(metadata, MissingRecord):
        return Refusal(FindingKind.PENDING, shown, _UNREAD, asset_id)
    if not isinstance(metadata, dict):
        return Refusal(FindingKind.REFUSED, shown, _UNREADABLE, asset_id)
    return _admit_record(entry, metadata, hosts)


def _admit_record(
    entry: dict[str, Any], metadata: dict[str, object], hosts: ContentHosts
) -> tuple[Asset, bytes] | Refusal:
    """Admit an entry that has a valid asset id and a record."""
    shown, asset_id = shown_path(entry), entry["asset_id"]
    zarr = entry.get("zarr")
    size, sha256, reason = size_and_digest(entry, metadata) if zarr is None else zarr_size(entry)
    try:
        record = canonical.dumps(canonical_record(entry, metadata))
    except canonical.TooDeep:
        # readers differ in how deep a record they can read: the reason must not
        return Refusal(FindingKind.REFUSED, shown, _UNREADABLE, asset_id)
    except canonical.NotCanonical as error:
        reason = refuse_path(entry.get("path")) or reason or f"the record: {error}"
        return Refusal(FindingKind.REFUSED, shown, reason, asset_id, size, sha256)
    if len(record) > LARGEST_RECORD:
        return Refusal(FindingKind.REFUSED, shown, "the record is larger than 8 MiB", asset_id, size, sha256)
    reason = refuse_path(entry.get("path")) or reason or _bad_zarr_id(entry)
    if reason or size is None:
        url = _content_url(metadata, hosts)
        return Refusal(FindingKind.REFUSED, shown, str(reason), asset_id, size, sha256, record, url)
    if zarr is not None and not is_zarr_record(metadata):
        return Refusal(FindingKind.PENDING, shown, "its record does not say yet that it is a Zarr", asset_id, size)
    if zarr is not None:
        return _asset(entry, metadata, "", hosts, len(record)), record
    if sha256 is None:
        return Refusal(
            FindingKind.PENDING, shown, "the archive has no SHA-256 for it yet", asset_id, size, None, record
        )
    return _asset(entry, metadata, annex_key(size, sha256, shown), hosts, len(record)), record


def _asset(entry: dict[str, Any], metadata: dict[str, object], key: str, hosts: ContentHosts, length: int) -> Asset:
    url = _content_url(metadata, hosts)
    return Asset(
        path=entry["path"],
        asset_id=entry["asset_id"],
        modified=entry["modified"] if isinstance(entry.get("modified"), str) else "",
        size=entry["size"],
        key=key,
        content_url=url,
        unknown_host="" if url else _unknown_host(metadata, hosts),
        record=None,
        record_length=length,
        fields=annex_fields(metadata, entry["path"]),
        published="datePublished" in metadata,
        zarr=entry.get("zarr") or "",
        zarr_checksum=str(digest_in(metadata, ZARR_CHECKSUM) or "") if entry.get("zarr") else "",
    )


def canonical_record(entry: dict[str, object], metadata: dict[str, object]) -> dict[str, object]:
    """The facts of an asset in an entry of a listing, without where its content is and when it was checked.

    ``blob`` is left out, too: the archive's older answers for the same versions did not have it.
    """
    return {
        "asset_id": entry.get("asset_id"),
        "created": entry.get("created"),
        "metadata": {name: value for name, value in metadata.items() if name != "contentUrl"},
        "path": entry.get("path"),
        "size": entry.get("size"),
    }


def shown_path(entry: dict[str, object]) -> str:
    """The path in an entry of a listing, to be shown to people; empty if there is none."""
    path = entry.get("path")
    return path if isinstance(path, str) else ""


def size_and_digest(entry: dict[str, object], metadata: dict[str, object]) -> tuple[int | None, str | None, str | None]:
    """The size and digest for an asset's key, and what is wrong with either."""
    size = entry.get("size")
    # JSON's true is an int to Python
    if type(size) is not int or not 0 <= size <= LARGEST_OBJECT:
        return None, None, "the size is not a number of bytes up to 5 TiB"
    if metadata.get("contentSize", size) != size or isinstance(metadata.get("contentSize"), bool):
        return None, None, "the size differs between the row and its record"
    sha256 = digest_in(metadata, SHA256)
    if sha256 is None:
        return size, None, None
    if not is_sha256(sha256):
        return None, None, "the SHA-256 is not 64 lower-case hexadecimal digits"
    return size, sha256, None


def _bad_zarr_id(entry: dict[str, object]) -> str | None:
    zarr = entry.get("zarr")
    return None if zarr is None or is_asset_id(zarr) else "the Zarr's id is not a UUID of version 4"


def zarr_size(entry: dict[str, object]) -> tuple[int | None, None, str | None]:
    """The size of a Zarr, no digest, and what is wrong with the size; the list of Zarrs knows both better."""
    size = entry.get("size")
    if type(size) is not int or size < 0:
        return None, None, "the size is not a number of bytes"
    return size, None, None


def _content_url(metadata: dict[str, object], hosts: ContentHosts) -> str | None:
    return next(filter(None, map(hosts.admit, _content_urls(metadata, hosts))), None)


def _unknown_host(metadata: dict[str, object], hosts: ContentHosts) -> str:
    return sys.intern(next(filter(None, map(hosts.unknown, _content_urls(metadata, hosts))), ""))


def _content_urls(metadata: dict[str, object], hosts: ContentHosts) -> list[object]:
    """The URLs that a record gives besides the API's own, which is built from the asset id; under embargo, none."""
    urls = metadata.get("contentUrl")
    api = hosts.instance.api_url + "/"
    if not isinstance(urls, list) or hosts.closed:
        return []
    return [url for url in urls if not (isinstance(url, str) and url.startswith(api))]
