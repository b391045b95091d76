"""What may reach git: one pure decision for every record and URL, before any process sees it.

The rules are those of ``docs/format.md`` ("Admitted"); those for paths are in ``paths.py``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from dandi_mirror import canonical
from dandi_mirror.addresses import is_loopback
from dandi_mirror.archive.http.response import Unread
from dandi_mirror.digests import is_sha256
from dandi_mirror.mirror.format.annex_metadata import annex_fields
from dandi_mirror.model import Asset, Finding, Instance, Kind, is_asset_id
from dandi_mirror.paths import refuse_path
from dandi_mirror.repo.annex.keys import annex_key

LARGEST = 5 * 2**40  # bytes: S3's limit for one object
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
    """Which URLs of content git-annex may be given."""

    instance: Instance
    named: frozenset[str] = frozenset()
    """Further ``host`` or ``host:port``, from the settings."""
    closed: bool = False
    """Whether it is under embargo: S3 gives nothing then but to signed URLs."""

    def admit(self, url: object) -> str | None:
        """The URL as it may be registered (of its query only ``versionId`` is kept), or None."""
        parts = _URL.fullmatch(url) if isinstance(url, str) else None
        if parts is None or not self._admits_host(parts["scheme"], parts["host"].lower()):
            return None
        if "/." in parts["path"] and any(part in {".", ".."} for part in parts["path"].split("/")):
            return None
        base = f"{parts['scheme']}://{parts['host']}{parts['path']}"
        version = _VERSION_QUERY.search(parts["query"]) if parts["query"] else None
        return f"{base}?{version[1]}" if version else base

    def _admits_host(self, scheme: str, host: str) -> bool:
        own_scheme, _, own_rest = self.instance.api_url.partition("://")
        own_host = own_rest.partition("/")[0]
        if scheme != "https" and not is_loopback(own_host.partition(":")[0]):
            return False
        own = (scheme, host) == (own_scheme, own_host)
        return own or host in self.named or _S3_HOST.fullmatch(host) is not None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that gives no asset: what to say of it, and what can be kept."""

    kind: Kind
    path: str
    reason: str
    asset_id: str
    """Empty when the row has none that can be trusted."""
    size: int | None = None
    sha256: str | None = None
    """With ``size``, when the content can be reached all the same."""
    record: bytes | None = None
    content_url: str | None = None

    def finding(self, version: str) -> Finding:
        """As it is reported."""
        return Finding(version, self.path, self.kind, self.reason, self.asset_id)


def admit_row(row: object, hosts: ContentHosts) -> tuple[Asset, bytes] | Refusal:
    """An asset and its canonical record, or why the row gives none.

    The asset's ``record`` is 0: whoever stores the bytes sets it.
    """
    if not isinstance(row, dict):
        return Refusal(Kind.REFUSED, "", "the row is not an object", "")
    shown = shown_path(row)
    asset_id, metadata = row.get("asset_id"), row.get("metadata")
    if not is_asset_id(asset_id):
        return Refusal(Kind.REFUSED, shown, "the asset id is not a UUID of version 4", "")
    if row.get("zarr") is not None:
        url = _content_url(metadata, hosts) if isinstance(metadata, dict) else None
        return Refusal(Kind.ZARR, shown, "a Zarr: not mirrored by this release", asset_id, content_url=url)
    if isinstance(metadata, Unread):
        return Refusal(Kind.PENDING, shown, _UNREAD, asset_id)
    if not isinstance(metadata, dict):
        return Refusal(Kind.REFUSED, shown, _UNREADABLE, asset_id)
    size, sha256, reason = content_of(row, metadata)
    try:
        record = canonical.dumps(canonical_record(row, metadata))
    except canonical.TooDeep:
        # how deep a record may be to be read at all depends on who reads it: the answer must not
        return Refusal(Kind.REFUSED, shown, _UNREADABLE, asset_id)
    except canonical.NotCanonical as error:
        reason = refuse_path(row.get("path")) or reason or f"the record: {error}"
        return Refusal(Kind.REFUSED, shown, reason, asset_id, size, sha256)
    if len(record) > LARGEST_RECORD:
        return Refusal(Kind.REFUSED, shown, "the record is larger than 8 MiB", asset_id, size, sha256)
    reason = refuse_path(row.get("path")) or reason
    if reason or size is None:
        url = _content_url(metadata, hosts)
        return Refusal(Kind.REFUSED, shown, str(reason), asset_id, size, sha256, record, url)
    if sha256 is None:
        return Refusal(Kind.PENDING, shown, "the archive has no SHA-256 for it yet", asset_id, size, None, record)
    return _asset(row, metadata, annex_key(size, sha256, shown), hosts), record


def _asset(row: dict[str, Any], metadata: dict[str, object], key: str, hosts: ContentHosts) -> Asset:
    return Asset(
        path=row["path"],
        asset_id=row["asset_id"],
        modified=row["modified"] if isinstance(row.get("modified"), str) else "",
        size=row["size"],
        key=key,
        content_url=_content_url(metadata, hosts),
        record=0,
        fields=annex_fields(metadata, row["path"]),
        published="datePublished" in metadata,
    )


def canonical_record(row: dict[str, object], metadata: dict[str, object]) -> dict[str, object]:
    """What of a row is a fact of the asset: where its bytes are kept and when it was looked at are not.

    ``blob`` is left out too: older answers of the archive did not have it for the same versions.
    """
    return {
        "asset_id": row.get("asset_id"),
        "created": row.get("created"),
        "metadata": {name: value for name, value in metadata.items() if name != "contentUrl"},
        "path": row.get("path"),
        "size": row.get("size"),
    }


def shown_path(row: dict[str, object]) -> str:
    """The path that a row says, for people; empty if it says none."""
    path = row.get("path")
    return path if isinstance(path, str) else ""


def content_of(row: dict[str, object], metadata: dict[str, object]) -> tuple[int | None, str | None, str | None]:
    """The size and digest that a key can be made of, and what is wrong with either."""
    size = row.get("size")
    # JSON's true is an int to Python
    if type(size) is not int or not 0 <= size <= LARGEST:
        return None, None, "the size is not a number of bytes up to 5 TiB"
    if metadata.get("contentSize", size) != size or isinstance(metadata.get("contentSize"), bool):
        return None, None, "the size differs between the row and its record"
    digests = metadata.get("digest")
    sha256 = digests.get("dandi:sha2-256") if isinstance(digests, dict) else None
    if sha256 is None:
        return size, None, None
    if not is_sha256(sha256):
        return None, None, "the SHA-256 is not 64 lower-case hexadecimal digits"
    return size, sha256, None


def _content_url(metadata: dict[str, object], hosts: ContentHosts) -> str | None:
    urls = metadata.get("contentUrl")
    api = hosts.instance.api_url + "/"
    for url in urls if isinstance(urls, list) and not hosts.closed else []:
        # the API's own URL is built from the asset id, never taken from a record
        own = isinstance(url, str) and url.startswith(api)
        if not own and (admitted := hosts.admit(url)):
            return admitted
    return None
