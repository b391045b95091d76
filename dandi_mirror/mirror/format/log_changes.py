"""What a sync writes to the git-annex branch: pure, from the keys it touched to the files of their logs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from dandi_mirror.mirror.format.tree import Place
from dandi_mirror.model import Instance
from dandi_mirror.repo.annex import logs
from dandi_mirror.repo.annex.keys import hash_dir_lower
from dandi_mirror.repo.annex.logs import Stamp

Places = Mapping[str, tuple[Place, ...]]
"""Where each key stands."""


ON_THE_WEB = {logs.WEB: True}


def by_key(places: Iterable[Place], keys: set[str] | None = None) -> dict[str, tuple[Place, ...]]:
    """The places of each key (of ``keys`` only, if they are given)."""
    found: dict[str, tuple[Place, ...]] = {}
    for place in places:
        if keys is None or place.key in keys:
            found[place.key] = joined(found.get(place.key, ()), place)
    return found


def joined(places: tuple[Place, ...], place: Place) -> tuple[Place, ...]:
    """The places of a key and one more; the same tuple when that says nothing new, as in a second version.

    Nearly every key stands in one place, and a tuple of one is small.
    """
    return places if any(_says(other) == _says(place) for other in places) else (*places, place)


def _says(place: Place) -> tuple[object, ...]:
    return place.asset_id, place.content_url, place.fields


def say_the_same(some: tuple[Place, ...], others: tuple[Place, ...]) -> bool:
    """Whether the logs made of two sets of places are the same."""
    same = len(some) == len(others) and all(one is other for one, other in zip(some, others, strict=True))
    return same or set(map(_says, some)) == set(map(_says, others))


@dataclass(frozen=True, slots=True)
class KeyLogs:
    """One key and where its logs stand on the branch."""

    key: str
    location: str
    urls: str
    metadata: str

    @classmethod
    def of(cls, key: str) -> KeyLogs:
        """By the key's hash directory."""
        directory = hash_dir_lower(key)
        return cls(
            key,
            logs.location_path(directory, key),
            logs.url_path(directory, key),
            logs.metadata_path(directory, key),
        )

    @property
    def paths(self) -> tuple[str, str, str]:
        """All three."""
        return self.location, self.urls, self.metadata


@dataclass(slots=True)
class KeyFacts:
    """What the archive says of one key now, and what it said before."""

    urls: set[str] = field(default_factory=set)
    """Alive."""
    dead: set[str] = field(default_factory=set)
    """URLs of asset ids that are no more."""
    fields: set[tuple[str, str]] = field(default_factory=set)
    old_fields: set[tuple[str, str]] = field(default_factory=set)


def key_facts(instance: Instance, dandiset: str, now: Iterable[Place], before: Iterable[Place]) -> KeyFacts:
    """The facts of one key, from the places where it stands now and those where it stands no more."""
    facts = KeyFacts()
    for place in now:
        facts.urls.add(instance.asset_url(place.asset_id))
        if place.content_url:
            facts.urls.add(place.content_url)
        facts.fields.update(place.fields)
        facts.fields.add(("dandiset", dandiset))
    for place in before:
        facts.dead.add(instance.asset_url(place.asset_id))
        facts.old_fields.update(place.fields)
    facts.dead -= facts.urls
    return facts


def changed_logs(
    key: KeyLogs, facts: KeyFacts, existing: Mapping[str, bytes], stamp: Stamp, sources: Mapping[str, bool] = ON_THE_WEB
) -> Iterator[tuple[str, bytes]]:
    """The logs of one key that change, with their new content.

    ``existing`` holds the logs that are there now, by path; ``sources`` says by UUID what gives content.
    """
    old_urls = existing.get(key.urls, b"")
    present = dict.fromkeys(facts.urls, True)
    if old_urls:
        present |= dict.fromkeys(facts.dead | _moved(old_urls, facts.urls), False)
    old_location, old_metadata = existing.get(key.location, b""), existing.get(key.metadata, b"")
    new = (
        (key.location, old_location, logs.with_presence(old_location, stamp, sources)),
        (key.urls, old_urls, logs.with_presence(old_urls, stamp, present)),
        (key.metadata, old_metadata, _with_fields(old_metadata, stamp, facts)),
    )
    for path, before, after in new:
        if after != before:
            yield path, after


def _moved(log: bytes, urls: set[str]) -> set[str]:
    """URLs in a log that name an object of ``urls`` at another host: the bucket has moved."""
    here = {_object(url) for url in urls}
    return {url for url, there in logs.present(log).items() if there and _object(url) in here} - urls


def _object(url: str) -> str:
    return url.partition("://")[2].partition("/")[2].partition("?")[0]


def _with_fields(log: bytes, stamp: Stamp, facts: KeyFacts) -> bytes:
    if not log:
        return logs.with_fields(b"", stamp, (), facts.fields)
    # what has not changed in the archive is left as it is, also where a person has changed it here
    remove = facts.old_fields - facts.fields if facts.fields else set()
    return logs.with_fields(log, stamp, remove, facts.fields - facts.old_fields - logs.fields(log))
