"""Ask a share of the URLs of a dataset's keys whether they still give the content: one HEAD request each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

from dandi_mirror.archive.http.session import Session
from dandi_mirror.config import FILE
from dandi_mirror.errors import MirrorError, NotFoundError, PartError, TemporaryError
from dandi_mirror.mirror.format.admission import ContentHosts
from dandi_mirror.mirror.verify.differences import Difference, DifferenceKind, fixed_by_sync
from dandi_mirror.mirror.verify.sample import ALL, Window
from dandi_mirror.mirror.zarr.gitmodules import ZarrModule
from dandi_mirror.mirror.zarr.manifests import Manifests
from dandi_mirror.repo.annex.keys import hash_dir_lower, size_of
from dandi_mirror.repo.annex.logs import present, url_path
from dandi_mirror.repo.git.dataset import ANNEX
from dandi_mirror.repo.git.reader import ObjectReader
from dandi_mirror.text import quoted

_AT_ONCE = 8
"""Requests at a time."""
_WAITING = 1000
"""URLs that are in memory: a Zarr has millions."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A URL that is asked."""

    what: str
    """A key, or an entry of a Zarr."""
    url: str
    size: int
    """Bytes; -1 if it is not known."""
    etag: str
    """As the archive's record has it; empty if it is not known."""
    key: str = ""
    """Of a file; empty for an entry of a Zarr."""
    others: tuple[str, ...] = ()
    """The other URLs that git-annex knows of the key."""


def urls_of_keys(
    reader: ObjectReader, etags: Mapping[str, str], hosts: ContentHosts, window: Window
) -> Iterator[Asked]:
    """The URLs of the keys in the window; ``etags``: key → ETag of the archive's record.

    The API's own URLs are left out: they redirect to the same bytes.  They are asked if another one fails.
    """
    keys = sorted(key for key in etags if window.has(key))
    logs = reader.read([f"{ANNEX}:{url_path(hash_dir_lower(key), key)}" for key in keys])
    for key, log in zip(keys, logs, strict=True):
        urls = [url for url, there in present(log or b"").items() if there and hosts.admit(url)]
        for url in urls:
            if not url.startswith(f"{hosts.instance.api_url}/"):
                others = tuple(other for other in urls if other != url)
                yield Asked(key, url, size_of(key, unknown=-1), etags[key], key, others)


def urls_of_zarrs(
    manifests: Manifests, zarrs: Iterable[ZarrModule], bases: Mapping[str, str], window: Window
) -> Iterator[Asked]:
    """The URLs of the entries in the window; ``bases``: Zarr → the URL of its folder in the bucket."""
    for path, zarr_id, checksum in zarrs:
        if not (base := bases.get(zarr_id)):
            continue
        try:
            for entry in manifests.entries(zarr_id, checksum):
                if window.has(f"{zarr_id}/{entry.path}"):
                    version = f"?versionId={entry.version_id}" if entry.version_id else ""
                    url = f"{base}{quote(entry.path)}{version}"
                    yield Asked(f"{path}/{entry.path}", url, entry.size, entry.etag)
        except (MirrorError, ValueError):
            continue  # another check names the manifest


def urls_of_leaving(reader: ObjectReader, keys: Iterable[str], hosts: ContentHosts) -> Iterator[Asked]:
    """The URLs of keys that no version names any more, while the archive still has them."""
    yield from urls_of_keys(reader, dict.fromkeys(keys, ""), hosts, ALL)


def check_leaving(
    session: Session, asked: Iterable[Asked], until: Mapping[str, float], folder: Path
) -> Iterator[Difference]:
    """The keys that are about to lose their last URL, and are not here; ``until``: key → when, about, in seconds.

    ``folder`` is that of the dataset.

    Raises:
        TemporaryError: a host does not answer.
    """
    for one in asked:
        if _why_wrong(session, one):
            what = f"{one.key}: no version names it any more, the archive has removed it, and it is not here"
            remedy = "nothing gets it from the archive; another mirror may have it: dandi-mirror restore"
        else:
            day = time.strftime("%Y-%m-%d", time.gmtime(until[one.key]))
            what = f"{one.key}: its last URL; no version names it any more, and the archive removes it about {day}"
            remedy = f"git -C {quoted(folder)} annex get --key={one.key}, or rescue = true in {FILE}"
        yield fixed_by_sync(DifferenceKind.URL, one.url, what, remedy)


def check_urls(
    session: Session, asked: Iterable[Asked], here: Callable[[str], bool], told: Callable[[int], None] = lambda n: None
) -> Iterator[Difference]:
    """Those of the URLs that do not give the content; and whether this was the last URL of its key.

    ``here`` tells whether the content of a key is in the repository.

    Raises:
        TemporaryError: a host does not answer; the rest is not asked.
    """
    waiting = iter(asked)
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="urls") as pool:
        while some := list(islice(waiting, _WAITING)):
            for one, why in zip(some, pool.map(lambda one: _why_wrong(session, one), some), strict=True):
                told(1)
                if why:
                    yield Difference(DifferenceKind.URL, one.url, why + _last_words(session, one, here))


def _last_words(session: Session, asked: Asked, here: Callable[[str], bool]) -> str:
    """What it means for a key that this URL fails: another one gives the content, or this was the last."""
    if not asked.key:
        return ""
    if any(_gives(session, asked, url) for url in asked.others):
        return "; another URL gives it"
    return "; it was the last URL, and the content is " + ("here: keep it" if here(asked.key) else "not here")


def _gives(session: Session, asked: Asked, url: str) -> bool:
    """Whether another URL gives the content; one of the API does if it leads to another object than the one that fails.

    Raises:
        TemporaryError: the host does not answer.
    """
    try:
        target = session.leads_to(url)
        if not target:
            return not _why_wrong(session, replace(asked, url=url))
        place = urlsplit(target)
        same = (place.netloc, place.path) == urlsplit(asked.url)[1:3]
        return not same and not _why_wrong(session, replace(asked, url=f"{place.scheme}://{place.netloc}{place.path}"))
    except TemporaryError:
        raise
    except MirrorError:
        return False


def _why_wrong(session: Session, asked: Asked) -> str:
    """Why a URL does not give the content; empty if it does, as far as its headers tell."""
    try:
        headers = session.head(asked.url)
    except NotFoundError:
        return f"{asked.what}: the host does not have it any more"
    except TemporaryError:
        raise
    except (PartError, MirrorError) as error:
        return f"{asked.what}: {error}"
    size, etag = headers.get("content-length", ""), headers.get("etag", "").strip('"')
    version = parse_qs(urlsplit(asked.url).query).get("versionId", [""])[0]
    if size.isdigit() and asked.size not in {-1, int(size)}:
        return f"{asked.what}: the host has {int(size):,} bytes, not {asked.size:,}"
    if asked.etag and etag and etag != asked.etag:
        return f"{asked.what}: the host's ETag is {etag}, the archive's record says {asked.etag}"
    if version and headers.get("x-amz-version-id", version) != version:
        return f"{asked.what}: the host gives another version, {headers['x-amz-version-id']}"
    return ""
