"""Which Dandisets, siblings and settings the commands about copies mean."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dandi_mirror.errors import UsageError
from dandi_mirror.workflows.access import tokens
from dandi_mirror.workflows.access.current_clone import refuse_clone

if TYPE_CHECKING:
    from dandi_mirror.archive.content.sources import TransferSettings
    from dandi_mirror.archive.http.session import Session
    from dandi_mirror.config import Settings, Sibling
    from dandi_mirror.mirror.copies.ranges import RangeReader
    from dandi_mirror.mirror.state.layout import Mirror


def mirrors_in(settings: Settings, mirror: Mirror, names: Iterable[str] = (), *, needed: bool = True) -> list[Sibling]:
    """The siblings of the settings that are mirrors; with ``names``, only these.

    Raises:
        UsageError: there is none (only if ``needed``), a name is none of them, its table is wrong, or this is a clone.
    """
    from dandi_mirror.config import FILE, MIRROR

    refuse_clone(mirror.path)
    file, names = mirror.path / FILE, list(dict.fromkeys(names))
    others = {name: sibling for name, sibling in settings.sibling.items() if sibling.type == MIRROR or sibling.error}
    if unknown := [name for name in names if name not in others]:
        known = ", ".join(others) or "none"
        raise UsageError(f'{file} names no other mirror {unknown[0]!r}; those with type = "mirror": {known}')
    found = [others[name] for name in names or others]
    for sibling in found:
        if sibling.error and (needed or names):
            raise UsageError(sibling.error)
    found = [sibling for sibling in found if not sibling.error]
    if needed and not found:
        raise UsageError(f'{file} names no other mirror; add a [sibling.NAME] with a url and type = "mirror"')
    return found


def metrics_file(text: str | None) -> Path | None:
    """The file for Prometheus that somebody named.

    Raises:
        UsageError: its folder does not exist, or nothing reads a file of its name.
    """
    if not text:
        return None
    file = Path(text).absolute()
    if file.suffix != ".prom":
        raise UsageError(f"{file}: node_exporter reads names in .prom only; call it {file.with_suffix('.prom')}")
    if not file.parent.is_dir():
        raise UsageError(f"{file.parent} is not a folder, so no metrics can be written there; make it first")
    return file


@contextmanager
def reading(settings: Settings, siblings: Iterable[Sibling]) -> Iterator[Session]:
    """Open a session that may read from the mirrors of the settings, also where these are on this network."""
    from dandi_mirror.addresses import Allowed
    from dandi_mirror.archive.http.session import Session
    from dandi_mirror.archive.instances import api_url

    url = api_url(settings.instance)
    allowed = Allowed.named(url, hosts_of(settings, siblings))
    with closing(Session(url, tokens.given(settings.instance), allowed=allowed)) as session:
        yield session


def hosts_of(settings: Settings, siblings: Iterable[Sibling]) -> frozenset[str]:
    """The hosts that the settings name: of content, and of other mirrors."""
    from dandi_mirror.repo.git.mirrors import host_of_mirror

    return frozenset([*settings.content_hosts, *filter(None, map(host_of_mirror, siblings))])


@contextmanager
def range_reader(settings: Settings, siblings: Iterable[Sibling]) -> Iterator[RangeReader]:
    """Open what reads ranges of content from the mirrors of the settings and from the archive."""
    from dandi_mirror.mirror.copies.ranges import RangeReader

    with closing(RangeReader(access(settings, siblings))) as reader:
        yield reader


def access(settings: Settings, siblings: Iterable[Sibling]) -> TransferSettings:
    """How content comes from the archive, and from the mirrors of the settings."""
    from dandi_mirror.addresses import Allowed
    from dandi_mirror.archive.instances import api_url

    allowed = Allowed.named(api_url(settings.instance), hosts_of(settings, siblings))
    return tokens.content_access(settings.instance, allowed)
