"""Build the catalogue of a mirror: what it is called, and which archive it names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from importlib.util import find_spec
from pathlib import Path

from dandi_mirror.addresses import host_of
from dandi_mirror.archive.instances import SITES, known_name
from dandi_mirror.catalogue.about import http_url
from dandi_mirror.catalogue.build import Built, Tell, build
from dandi_mirror.catalogue.pages import ALL, ShownArchive, Site
from dandi_mirror.catalogue.previews import FOLDER, Previews
from dandi_mirror.config import Settings
from dandi_mirror.errors import UsageError
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.serve.looking import Looking
from dandi_mirror.text import how_to_install
from dandi_mirror.workflows.access.tokens import stored
from dandi_mirror.workflows.serve.block_cache import cache_of

_TITLES = {"dandi": "DANDI Archive", "linc": "LINC", "ember-dandi": "EMBER-DANDI"}


def build_catalogue(
    mirror: Mirror, folder: Path, tell: Tell, site: Site, settings: Settings, *, embargoed: bool = False, jobs: int = 1
) -> Built:
    """Bring the catalogue in a folder up to date; ``jobs``: how many files are read for previews at the same time.

    Raises:
        UsageError: the folder holds something else, a URL is none, or previews need the dandi client.
        LockedError: another build is writing there.
        DiskError: the folder cannot be written.
    """
    if site.url and not http_url(site.url):
        raise UsageError(f"{site.url!a} is not the address of a web page; write https://HOST/PATH/")
    if not site.previews:
        return build(mirror, folder, site, tell, embargoed=embargoed)
    mirror.make_own()
    with ExitStack() as stack:
        looking = stack.enter_context(_looking(mirror, settings, asks=site.previews == ALL, embargoed=embargoed))
        previews = stack.enter_context(previews_of(mirror, looking, jobs))
        return build(mirror, folder, site, tell, embargoed=embargoed, previews=previews)


@contextmanager
def _looking(mirror: Mirror, settings: Settings, *, asks: bool, embargoed: bool) -> Iterator[Looking]:
    """What previews are made from; what is under embargo is asked for only if the owner's API key is known."""
    closed = embargoed and asks and stored(settings.instance) is not None
    with ExitStack() as stack:
        cache = stack.enter_context(closing(cache_of(mirror, settings, offline=False, closed=closed))) if asks else None
        yield Looking(mirror, cache, frozenset(settings.content_hosts), closed=closed)


def previews_of(mirror: Mirror, looking: Looking, jobs: int = 1) -> Previews:
    """The previews that a mirror keeps.

    Raises:
        UsageError: the dandi client is not installed.
    """
    if not can_preview():
        raise UsageError(f"previews need the dandi client; {how_to_install('upload')}")
    return Previews(mirror.own / FOLDER, jobs, looking)


def can_preview() -> bool:
    """Whether the worker that looks into files can be started."""
    return find_spec("dandi") is not None


def site_of(
    mirror: Mirror, *, title: str = "", url: str = "", source: str = "", served: str = "", previews: str = ""
) -> Site:
    """What the pages of a mirror's catalogue share."""
    archive = archive_of(mirror)
    url = f"{url.rstrip('/')}/" if url else ""
    return Site(title or f"Mirror of {archive.name}", archive, url, source.rstrip("/"), served, previews)


def archive_of(mirror: Mirror) -> ShownArchive:
    """The archive of a mirror, as pages name it."""
    api = http_url(mirror.archive())
    name = known_name(api) or ""
    host = next((host for host, known in SITES.items() if known == name), "")
    web = f"https://{host}" if name and ":" not in host else ""
    prefix = {"linc": "LINC", "ember-dandi": "EMBER-DANDI"}.get(name.partition("-s")[0], "DANDI")
    return ShownArchive(
        _TITLES.get(name) or name or (host_of(api) if api else "a DANDI archive"), api, web, name, prefix
    )
