"""Parsing every form in which people name a Dandiset or a part of one, without requests and without reading the disk.

``docs/use-a-mirror.md`` lists the forms.  A link that only a request can resolve stays in ``Name.ask``; see
:mod:`dandi_mirror.archive.api.follow_names`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from dandi_mirror.addresses import is_loopback
from dandi_mirror.archive.instances import BUCKETS, KNOWN, api_url, at_host
from dandi_mirror.archive.name_parts import FORMS, SHOWN, check_dandiset, check_uuid, check_version, is_uuid, wrong_name
from dandi_mirror.errors import UsageError

_LONGEST = 4096


@dataclass(frozen=True, slots=True)
class Name:
    """The parts of a name; None or empty for parts that it does not have.

    At most one of ``path``, ``prefix``, ``glob``, ``asset``, ``blob`` and ``zarr`` is set.
    """

    text: str
    """As the user typed it."""
    instance: str | None = None
    """The archive, as a value for ``-i``: its API's URL, without a slash at its end, if the user typed a URL; else the
    name that the user typed, in lower case, which may be unknown (see :func:`~.instances.agreed`)."""
    dandiset: str | None = None
    """Six digits."""
    version: str | None = None
    """``draft`` or ``0.YYMMDD.HHMM``."""
    path: str = ""
    """A file, or a folder with everything below it; with a slash at the end, a folder only."""
    prefix: str = ""
    """The beginning of paths, like the archive's ``?path=``."""
    glob: str = ""
    """A pattern for whole paths, like the archive's ``?glob=``: only ``*`` is special, and it matches ``/``, too."""
    asset: str | None = None
    """An asset's id."""
    blob: str | None = None
    """The id of a blob."""
    zarr: str | None = None
    """The id of a Zarr."""
    entry: str = ""
    """A file or folder inside the Zarrs that ``path``, ``glob`` or ``zarr`` names, or a pattern like ``glob``; a slash
    alone is all that is inside."""
    state: str = ""
    """The checksum of the Zarr's state; empty for the one that the version has.  See :func:`split_state`."""
    ask: str = ""
    """The URL to request: the web site of the archive, if the Dandiset is known; else a link that redirects."""

    @property
    def whole(self) -> bool:
        """Whether it means a whole version, not some of its files."""
        return not (self.path or self.prefix or self.glob or self.asset or self.blob or self.zarr)

    def chosen(self, paths: Iterable[str]) -> list[str]:
        """The paths of a version that ``path``, ``prefix`` or ``glob`` select; all paths if none of these is set."""
        if self.path:
            folder = self.path.rstrip("/") + "/"
            return [path for path in paths if path == self.path or path.startswith(folder)]
        if self.glob:
            return list(filter(_fits(self.glob, re.IGNORECASE), paths))
        every = list(paths)
        if not self.prefix:
            return every
        if self.prefix in every:
            return [self.prefix]
        return [path for path in every if path.lower().startswith(self.prefix.lower())]

    def chooses(self, entry: str) -> bool:
        """Whether ``entry``, relative to its Zarr, is among what is named inside it."""
        wanted = self.entry.strip("/")
        if "*" in wanted:
            return _fits(self.entry)(entry)
        return not wanted or entry == self.entry or entry.startswith(f"{wanted}/")


def _fits(glob: str, flags: int = 0) -> Callable[[str], bool]:
    """A test for whole paths, by a pattern in which only ``*`` is special."""
    pattern = re.compile(".*".join(map(re.escape, glob.split("*"))), flags | re.DOTALL)
    return lambda path: pattern.fullmatch(path) is not None


_SHORT = re.compile(
    r"(?:(?P<name>[a-z][a-z0-9-]*):)?(?P<id>[0-9]{6})(?:@(?P<version>[^/]*))?(?:/(?P<rest>.*))?", re.I | re.S
)
_DANDI = re.compile(r"dandi://(?P<name>[-\w.]+)/(?P<id>[^/@]+)(?:@(?P<version>[^/]*))?(?:/(?P<rest>.*))?", re.I | re.S)
_DOI = re.compile(
    r"(?:doi:)?(?P<prefix>10\.[0-9]{4,9})/(?P<name>[a-z][a-z0-9-]*)\.(?P<id>[0-9]{6})(?:/(?P<version>[^/]+))?/?", re.I
)
_SANDBOX_DOI = "10.80507"
_API = re.compile(
    r"(?P<root>.*?)/(?:dandisets/(?P<id>[^/]+)(?:/versions(?:/(?P<version>[^/]+)(?:/info|/assets(?:/paths)?)?)?)?/?"
    r"|(?:dandisets/(?P<of>[^/]+)/versions/(?P<at>[^/]+)/)?assets/(?P<asset>[^/]+)(?:/(?:download|info|validation))?/?"
    r"|zarr/(?P<zarr>[^/]+)(?:/files)?/?)"
)
_PAGE = re.compile(r"/dandiset/(?P<id>[^/]+)(?:/(?P<version>draft|[0-9]+\.[^/]*))?(?:/.*)?", re.I)
_AMAZON = re.compile(r"(?:(?P<bucket>[a-z0-9.-]+)\.)?s3[a-z0-9.-]*\.amazonaws\.com")
_OBJECT = re.compile(
    r"/(?:(?P<bucket>[^/]+)/)?(?:blobs/[0-9a-f]{3}/[0-9a-f]{3}/(?P<blob>[^/]+)|zarr/(?P<zarr>[^/]+)(?:/(?P<entry>.*))?"
    r"|dandisets/(?P<id>[^/]+)/(?P<version>[^/]+)/[^/]*)"
)
_VERSION_LIKE = re.compile(r"draft|[0-9]+\.[0-9.]*", re.I)
_ZARR = re.compile(r"(?P<asset>.*?\.(?:zarr|ngff))/(?P<entry>.*)", re.S)
_STATE = re.compile(r"@([0-9a-f]{32}-(?:0|[1-9][0-9]{0,7})--(?:0|[1-9][0-9]{0,18}))(?=/|\Z)")


def split_state(text: str) -> tuple[str, str]:
    """Split ``x.ome.zarr@CHECKSUM/3`` into ``x.ome.zarr/3`` and the checksum; it is empty if the text names none."""
    found = _STATE.search(text)
    return (text[: found.start()] + text[found.end() :], found[1]) if found else (text, "")


def split_entry(path: str) -> tuple[str, str]:
    """Split a path into that of a Zarr, by its name, and what is inside; that is empty if it is no path in a Zarr."""
    found = _ZARR.fullmatch(path)
    return (found["asset"], found["entry"] or "/") if found else (path, "")


def parse(text: str) -> Name:
    """Parse a name.

    Raises:
        UsageError: ``text`` has none of the forms; the message suggests the closest one.
    """
    typed = text.strip()
    if not typed or len(typed) > _LONGEST or not text.isprintable():
        raise UsageError(f"{text[:SHOWN]!a} names no Dandiset; {FORMS}")
    scheme = typed.partition("://")[0].lower() if "://" in typed else ""
    if scheme == "dandi":
        name = _of_dandi(typed)
    elif scheme in {"http", "https", "s3"}:
        name = _of_url(typed)
    elif scheme:
        raise wrong_name(typed, f"a link begins with https://, dandi:// or s3://, not {scheme}://")
    elif found := _DOI.fullmatch(typed):
        name = _of_doi(typed, found)
    elif is_uuid(bare := typed.lower().removeprefix("dandiasset:")):
        name = Name(typed, asset=bare)
    else:
        name = _of_short(typed)
    return replace(name, text=text)


def _of_short(text: str) -> Name:
    """``000004``, ``DANDI:000004/draft``, ``000004@0.220126.1852/sub-P10HMH/``."""
    found = _SHORT.fullmatch(text)
    if not found:
        raise wrong_name(text, "this names no Dandiset")
    version, rest = found["version"], found["rest"] or ""
    first, _, after = rest.partition("/")
    if version is None and _VERSION_LIKE.fullmatch(first):
        version, rest = first, after
    elif version is None and found["name"] and first:
        raise UsageError(
            f"{text!a}: {first} is not a version; for a file write {found['name']}:{found['id']}@draft/PATH"
        )
    name = Name(text, _instance(found["name"]), found["id"], check_version(text, version, found["id"]))
    return _with_path(name, rest)


def _of_dandi(text: str) -> Name:
    """``dandi://dandi/000004@draft/sub-1/``."""
    found = _DANDI.fullmatch(text)
    if not found:
        raise wrong_name(text, "such a link has the form dandi://ARCHIVE/000004@VERSION/PATH")
    instance = _instance(found["name"])
    name = Name(text, instance, check_dandiset(text, found["id"]), check_version(text, found["version"], found["id"]))
    return _with_path(name, unquote(found["rest"] or ""))


def _of_doi(text: str, found: re.Match[str]) -> Name:
    instance = found["name"]
    if found["prefix"] == _SANDBOX_DOI and instance.lower() == "dandi":
        instance = "dandi-sandbox"
    return Name(text, _instance(instance), found["id"], check_version(text, found["version"], found["id"]))


def _of_url(text: str) -> Name:
    try:
        parts = urlsplit(text)
        host = (parts.hostname or "") + (f":{parts.port}" if parts.port else "")
    except ValueError:
        raise wrong_name(text, "it has no valid host") from None
    if "@" in parts.netloc or not host:
        # the message does not repeat it: it may hold a password
        raise UsageError(f"a link must have a host and no user name; {FORMS}")
    if parts.fragment.lstrip("/").startswith("dandiset/"):
        page = urlsplit("/" + parts.fragment.lstrip("/"))
        parts = parts._replace(path=page.path, query=page.query, fragment="")
    path = unquote(parts.path)
    if parts.scheme == "s3" or (_AMAZON.fullmatch(host)):
        return _of_bucket(text, parts, path)
    if host in {"identifiers.org", "doi.org", "dx.doi.org", "www.doi.org"}:
        doi = _DOI.fullmatch(path.strip("/"))
        return _of_doi(text, doi) if doi else _of_short(path.strip("/"))
    found = _API.fullmatch(path)
    if found and (not found["zarr"] or found["root"].endswith("/api")):
        return _of_api(text, parts, host, found)
    if found := _PAGE.fullmatch(path.removeprefix("/api")):
        return _of_page(text, parts, host, found)
    if (found := _OBJECT.fullmatch(path)) and not found["id"]:
        return _of_object(text, None, found)
    return _leading_on(text, parts, host)


def _of_api(text: str, parts: SplitResult, host: str, found: re.Match[str]) -> Name:
    instance = at_host(host) or api_url(f"{parts.scheme}://{host}{found['root'] or '/api'}")
    dandiset, version = found["id"] or found["of"], found["version"] or found["at"]
    name = Name(
        text,
        instance,
        dandiset and check_dandiset(text, dandiset),
        check_version(text, version, dandiset),
        asset=check_uuid(text, found["asset"]),
        zarr=check_uuid(text, found["zarr"]),
    )
    query = parse_qs(parts.query)
    if name.zarr:
        return replace(name, entry=query.get("prefix", [""])[0])
    if glob := query.get("glob", [""])[0]:
        return replace(name, glob=glob)
    if folder := query.get("path_prefix", [""])[0]:
        return _with_path(name, folder)
    return replace(name, prefix=query.get("path", [""])[0].lstrip("/"))


def _of_page(text: str, parts: SplitResult, host: str, found: re.Match[str]) -> Name:
    instance = at_host(host)
    name = Name(text, instance, check_dandiset(text, found["id"]), check_version(text, found["version"], found["id"]))
    if instance is None:
        name = replace(name, ask=_plain_site(parts, host))
    return _with_path(name, parse_qs(parts.query).get("location", [""])[0])


def _of_bucket(text: str, parts: SplitResult, path: str) -> Name:
    """An S3 object, by either form of URL, or ``s3://BUCKET/…``."""
    inside = _AMAZON.fullmatch(parts.netloc.lower())
    bucket = parts.netloc if parts.scheme == "s3" else inside["bucket"] if inside else None
    found = _OBJECT.fullmatch(path)
    if not found or (bucket is None) == (found["bucket"] is None):
        raise wrong_name(text, "this is not the URL of a blob or a Zarr: …/blobs/123/456/ID or …/zarr/ID/")
    instance = BUCKETS.get(bucket or found["bucket"])
    return _of_object(text, instance and KNOWN[instance], found)


def _of_object(text: str, instance: str | None, found: re.Match[str]) -> Name:
    if found["id"]:
        return Name(
            text, instance, check_dandiset(text, found["id"]), check_version(text, found["version"], found["id"])
        )
    blob, zarr = check_uuid(text, found["blob"]), check_uuid(text, found["zarr"])
    return Name(text, instance, blob=blob, zarr=zarr, entry=found["entry"] or "")


def _leading_on(text: str, parts: SplitResult, host: str) -> Name:
    """A link that only a request can resolve, such as a short link."""
    if at_host(host) and host != "gui.dandiarchive.org":
        raise wrong_name(text, "this is not the page of a Dandiset")
    _plain_site(parts, host)
    return Name(text, ask=text)


def _plain_site(parts: SplitResult, host: str) -> str:
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise UsageError(f"http://{host}: plain http works for 127.0.0.1 only; use https")
    return f"{parts.scheme}://{host}"


def _instance(name: str | None) -> str | None:
    return name and name.lower()


def _with_path(name: Name, path: str) -> Name:
    """Add a path or a glob to a name."""
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise UsageError(f"{name.text}: a path in a Dandiset cannot have '..'; give it from the top of the Dandiset")
    plain = "/".join(parts) + ("/" if parts and path.endswith("/") else "")
    asset, entry = split_entry(plain)
    return replace(name, glob=asset, entry=entry) if "*" in asset else replace(name, path=asset, entry=entry)
