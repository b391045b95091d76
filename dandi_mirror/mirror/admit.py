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
from urllib.parse import urlsplit

from dandi_mirror import canonical
from dandi_mirror.digests import is_sha256
from dandi_mirror.mirror.fields import annex_fields
from dandi_mirror.model import Asset, Finding, Instance, Kind, is_asset_id

LONGEST_COMPONENT = 255  # bytes: the limit of common file systems
LONGEST_PATH = 1024  # bytes
DEEPEST = 64  # folders
LARGEST = 5 * 2**40  # bytes: S3's limit for one object
LARGEST_RECORD = 8 * 2**20  # bytes of canonical JSON

_RESERVED_TOP = {".dandi", ".datalad", "dandiset.yaml"}
_SHORT_NAME = re.compile(r"git~[0-9]+[ .]*(?::.*)?")
# Default-ignorable letters: file systems that fold names drop them, so ``.g<U+115F>it`` could become ``.git``
_IGNORABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_REFUSED_CATEGORIES = {"Cc": "a control character", "Cf": "an invisible character", "Cs": "half a surrogate pair",
                       "Zl": "a line separator", "Zp": "a paragraph separator"}  # fmt: skip
_PLAIN_PATH = re.compile(
    r"(?!\.)[A-Za-z0-9_+,=()& -][A-Za-z0-9_+,=()& .-]*(?:/[A-Za-z0-9_+,=()& -][A-Za-z0-9_+,=()& .-]*)*"
)

_S3_HOST = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\.s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com")
_URL = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?/[!-\"$-\[\]-~]*")
_VERSION_QUERY = re.compile(r"versionId=[A-Za-z0-9._~+/=-]+")
_LOOPBACK = {"127.0.0.1", "localhost"}


@dataclass(frozen=True, slots=True)
class ContentHosts:
    """Which URLs of content git-annex may be given."""

    instance: Instance
    named: frozenset[str] = frozenset()
    """Further ``host`` or ``host:port``, from the settings."""

    def admit(self, url: object) -> str | None:
        """The URL as it may be registered (of its query only ``versionId`` is kept), or None."""
        if not isinstance(url, str) or not _URL.fullmatch(url):
            return None
        api = urlsplit(self.instance.api_url)
        parts = urlsplit(url)
        loopback = api.hostname in _LOOPBACK
        if parts.scheme != "https" and not loopback:
            return None
        own = parts.netloc.lower() == api.netloc.lower() and parts.scheme == api.scheme
        if not (own or _S3_HOST.fullmatch(parts.netloc) or parts.netloc.lower() in self.named):
            return None
        if any(part in {".", ".."} for part in parts.path.split("/")):
            return None
        version = _VERSION_QUERY.search(parts.query)
        return f"{parts.scheme}://{parts.netloc}{parts.path}" + (f"?{version[0]}" if version else "")


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
    if unicodedata.normalize("NFKC", component).casefold().rstrip(" .") in _RESERVED_TOP:
        return f"the name {component} is the mirror's own"
    return None


def _refuse_text(path: str) -> str | None:
    for letter in path:
        if reason := _REFUSED_CATEGORIES.get(unicodedata.category(letter)):
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
        folded = unicodedata.normalize("NFKC", component).casefold()
        if folded.startswith(".git") or _SHORT_NAME.fullmatch(folded):
            return f"the name {component} is git's own"
    return _refuse_top(components[0])


def admit_row(row: object, instance: Instance, hosts: ContentHosts) -> tuple[Asset, bytes] | Refusal:
    """An asset and its canonical record, or why the row gives none.

    The asset's ``record`` is 0: whoever stores the bytes sets it.
    """
    if not isinstance(row, dict):
        return Refusal(Kind.REFUSED, "", "the row is not an object", "")
    path = row.get("path")
    shown = path if isinstance(path, str) else ""
    asset_id = row.get("asset_id")
    if not is_asset_id(asset_id):
        return Refusal(Kind.REFUSED, shown, "the asset id is not a UUID of version 4", "")
    if row.get("zarr") is not None:
        return Refusal(Kind.ZARR, shown, "a Zarr: not mirrored by this release", asset_id)
    metadata = row.get("metadata")
    if not isinstance(metadata, dict):
        return Refusal(Kind.REFUSED, shown, "the record has no metadata", asset_id)
    size, sha256, reason = _content(row, metadata)
    try:
        record = canonical.dumps(canonical_record(row, metadata))
    except canonical.NotCanonical as error:
        return Refusal(Kind.REFUSED, shown, f"the record: {error}", asset_id, size, sha256)
    if len(record) > LARGEST_RECORD:
        return Refusal(Kind.REFUSED, shown, "the record is larger than 8 MiB", asset_id, size, sha256)
    url = _content_url(metadata, hosts)
    reason = refuse_path(path) or reason
    if reason or size is None:
        return Refusal(Kind.REFUSED, shown, str(reason), asset_id, size, sha256, record, url)
    if sha256 is None:
        return Refusal(
            Kind.PENDING, shown, "the archive has no SHA-256 for it yet", asset_id, size, None, record
        )
    fields = annex_fields(metadata, shown)
    return Asset(shown, asset_id, size, sha256, url, 0, fields, "datePublished" in metadata), record


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


def _content(
    row: dict[str, object], metadata: dict[str, object]
) -> tuple[int | None, str | None, str | None]:
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
        admitted = hosts.admit(url)
        # the API's own URL is built from the asset id, never taken from a record
        if admitted and not admitted.startswith(api):
            return admitted
    return None


def conflicts(paths: Iterable[str]) -> dict[str, str]:
    """The paths that are a file and a folder at once, each with the reason; all members of a conflict."""
    files = set(paths)
    found: dict[str, str] = {}
    known: set[str] = set()
    for path in files:
        for folder in _folders(path.rpartition("/")[0]):
            if folder in known:
                continue
            known.add(folder)
    for folder in known & files:
        found[folder] = "a folder of the same name holds other assets"
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
