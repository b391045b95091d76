"""What may reach git: one pure decision for every path, record and URL, before any process sees it.

The server accepts names such as ``.git/config``; one of them makes a whole clone fail, and some of git's
plumbing drops or renames others in silence.  The rules are those of ``docs/format.md`` ("Admitted").
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from dandi_mirror import canonical
from dandi_mirror.digests import is_sha256
from dandi_mirror.mirror.fields import annex_fields
from dandi_mirror.model import Asset, Finding, Instance, Kind, is_asset_id
from dandi_mirror.repo.keys import annex_key

LONGEST_COMPONENT = 255  # bytes: the limit of common file systems
LONGEST_PATH = 1024  # bytes
DEEPEST = 64  # folders
LARGEST = 5 * 2**40  # bytes: S3's limit for one object
LARGEST_RECORD = 8 * 2**20  # bytes of canonical JSON

_RESERVED_TOP = {".dandi", ".datalad", "dandiset.yaml"}
# The names that Windows may give to git's own files, and that git on every system takes for them
_SHORT_NAME = re.compile(r"([a-z0-9]{0,6})~([0-9]+)[ .]*(?::.*)?")
_SHORT_STEMS = {"git", "gitmod", "gitatt", "gitign", "mailma"}
_HASHED_STEMS = ("gi7eba", "gi7d29", "gi250a", "maba30")
# One release of Unicode for ever, so that the decision is the same on every Python
_UNICODE = unicodedata.ucd_3_2_0
# Default-ignorable letters: file systems that fold names drop them, so ``.g<U+115F>it`` could become ``.git``
_IGNORABLE = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_REFUSED_CATEGORIES = {
    "Cc": "a control character",
    "Cf": "an invisible character",
    "Cs": "half a surrogate pair",
    "Zl": "a line separator",
    "Zp": "a paragraph separator",
    "Cn": "a letter that Unicode 3.2 does not know",
}
_PLAIN_PATH = re.compile(
    r"(?!\.)[A-Za-z0-9_+,=()& -][A-Za-z0-9_+,=()& .-]*(?:/[A-Za-z0-9_+,=()& -][A-Za-z0-9_+,=()& .-]*)*"
)

_S3_HOST = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\.s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com")
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9.-]+(?::[0-9]{1,5})?)(?P<path>/[!-\"$->@-\[\]-~]*)"
    r"(?:\?(?P<query>[!-\"$-\[\]-~]*))?"
)
_VERSION_QUERY = re.compile(r"(?:^|&)(versionId=[A-Za-z0-9._~+/=-]+)")
_UNREADABLE = "the record has no metadata that can be read"
_LOOPBACK = {"127.0.0.1", "localhost"}


@dataclass(frozen=True, slots=True)
class ContentHosts:
    """Which URLs of content git-annex may be given."""

    instance: Instance
    named: frozenset[str] = frozenset()
    """Further ``host`` or ``host:port``, from the settings."""

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
        if scheme != "https" and own_host.partition(":")[0] not in _LOOPBACK:
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


def refuse_path(path: object) -> str | None:
    """Why an asset's path must not reach git; None when it may."""
    if not isinstance(path, str):
        return "the path is not text"
    if _PLAIN_PATH.fullmatch(path) and len(path) <= LONGEST_COMPONENT:
        components = path.split("/")
        return _refuse_plain(components)
    return _refuse_text(path) or _refuse_shape(path) or _refuse_names(path.split("/"))


def _refuse_plain(components: list[str]) -> str | None:
    """The rest of the rules for a short path of harmless letters in which no name begins with a dot."""
    if len(components) > DEEPEST:
        return f"more than {DEEPEST} folders deep"
    return _refuse_top(components[0])


def _refuse_top(component: str) -> str | None:
    # file systems that drop blanks and dots at the end of a name would make these one with our own
    if _UNICODE.normalize("NFKC", component).casefold().rstrip(" .") in _RESERVED_TOP:
        return f"the name {component} is the mirror's own"
    return None


def _refuse_text(path: str) -> str | None:
    for letter in path:
        if reason := _REFUSED_CATEGORIES.get(_UNICODE.category(letter)):
            return f"{reason} in the path (U+{ord(letter):04X})"
    if _IGNORABLE.search(path):
        return "an invisible character in the path"
    if "\\" in path:
        return "a backslash in the path"
    return None


def _refuse_shape(path: str) -> str | None:
    components = path.split("/")
    if any(component in {"", ".", ".."} for component in components):
        return "an empty, '.' or '..' component in the path"
    if len(path.encode()) > LONGEST_PATH:
        return f"a path of more than {LONGEST_PATH} bytes"
    if len(components) > DEEPEST:
        return f"more than {DEEPEST} folders deep"
    if any(len(component.encode()) > LONGEST_COMPONENT for component in components):
        return f"a name of more than {LONGEST_COMPONENT} bytes"
    return None


def _refuse_names(components: list[str]) -> str | None:
    for component in components:
        folded = _UNICODE.normalize("NFKC", component).casefold()
        if folded.startswith((".git", ".mailmap")) or _is_short_name(folded):
            return f"the name {component} is git's own"
    return _refuse_top(components[0])


def _is_short_name(folded: str) -> bool:
    """Whether git takes a name for the short one of ``.git``, ``.gitmodules`` or another file of its own.

    ``gitmod~1``, or eight letters of which the first are those of a hash: ``gi7eba~1``, ``~1234567``.  A link
    of such a name is an error to ``git fsck`` and to a clone.  Source: git's path.c, ``is_ntfs_dot_generic``.
    """
    found = _SHORT_NAME.fullmatch(folded)
    if not found:
        return False
    stem, number = found.groups()
    hashed = len(stem) + len(number) == 7 and any(known.startswith(stem) for known in _HASHED_STEMS)
    return stem in _SHORT_STEMS or hashed


def admit_row(row: object, hosts: ContentHosts) -> tuple[Asset, bytes] | Refusal:
    """An asset and its canonical record, or why the row gives none.

    The asset's ``record`` is 0: whoever stores the bytes sets it.
    """
    if not isinstance(row, dict):
        return Refusal(Kind.REFUSED, "", "the row is not an object", "")
    shown = row["path"] if isinstance(row.get("path"), str) else ""
    asset_id, metadata = row.get("asset_id"), row.get("metadata")
    if not is_asset_id(asset_id):
        return Refusal(Kind.REFUSED, shown, "the asset id is not a UUID of version 4", "")
    if row.get("zarr") is not None:
        return Refusal(Kind.ZARR, shown, "a Zarr: not mirrored by this release", asset_id)
    if not isinstance(metadata, dict):
        return Refusal(Kind.REFUSED, shown, _UNREADABLE, asset_id)
    size, sha256, reason = _content(row, metadata)
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


def _content(row: dict[str, object], metadata: dict[str, object]) -> tuple[int | None, str | None, str | None]:
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
    for url in urls if isinstance(urls, list) else []:
        # the API's own URL is built from the asset id, never taken from a record
        own = isinstance(url, str) and url.startswith(api)
        if not own and (admitted := hosts.admit(url)):
            return admitted
    return None


def conflicts(paths: Iterable[str]) -> dict[str, str]:
    """The paths that are a file and a folder at once, each with the reason; all members of a conflict."""
    files = set(paths)
    folders = {path.rpartition("/")[0] for path in files}
    above = {folder for inner in folders for folder in _folders(inner)}
    found = dict.fromkeys(above & files, "a folder of the same name holds other assets")
    if found:
        for path in files:
            if any(folder in found for folder in _folders(path.rpartition("/")[0])):
                found[path] = "a file of the same name stands where its folder would be"
    return found


@lru_cache(maxsize=4096)
def _folders(folder: str) -> tuple[str, ...]:
    """A folder and all above it."""
    parts = folder.split("/") if folder else []
    return tuple("/".join(parts[:end]) for end in range(len(parts), 0, -1))
