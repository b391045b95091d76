"""How the git-annex logs of a key change: pure functions, from the assets that have the key to its files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from dandi_mirror.mirror.format.tree import KeyUse
from dandi_mirror.model import Instance
from dandi_mirror.repo.annex import logs
from dandi_mirror.repo.annex.keys import hash_dir_lower
from dandi_mirror.repo.annex.logs import Stamp

KeyUses = Mapping[str, tuple[KeyUse, ...]]
"""The assets that have each key."""


ON_THE_WEB = {logs.WEB: True}


def uses_by_key(uses: Iterable[KeyUse], keys: set[str] | None = None) -> dict[str, tuple[KeyUse, ...]]:
    """The assets that have each key (only of ``keys``, if they are given)."""
    found: dict[str, tuple[KeyUse, ...]] = {}
    for use in uses:
        if keys is None or use.key in keys:
            found[use.key] = joined(found.get(use.key, ()), use)
    return found


def joined(uses: tuple[KeyUse, ...], use: KeyUse) -> tuple[KeyUse, ...]:
    """The uses of a key and one more; the same tuple if that one says nothing new, as in a second version.

    Nearly every key belongs to one asset, and a tuple of one is small.
    """
    return uses if any(_says(other) == _says(use) for other in uses) else (*uses, use)


def _says(use: KeyUse) -> tuple[object, ...]:
    return use.asset_id, use.content_url, use.fields


def say_the_same(some: tuple[KeyUse, ...], others: tuple[KeyUse, ...]) -> bool:
    """Whether two sets of uses of a key give the same logs."""
    same = len(some) == len(others) and all(one is other for one, other in zip(some, others, strict=True))
    return same or set(map(_says, some)) == set(map(_says, others))


@dataclass(frozen=True, slots=True)
class KeyLogs:
    """One key and the paths of its logs on the git-annex branch."""

    key: str
    location: str
    urls: str
    metadata: str

    @classmethod
    def of(cls, key: str) -> KeyLogs:
        """The paths of a key, in its hash directory."""
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
    """What the archive says about one key now, and what it said before."""

    urls: set[str] = field(default_factory=set)
    """Those that give the content."""
    dead: set[str] = field(default_factory=set)
    """Those of assets that the archive does not have any more."""
    fields: set[tuple[str, str]] = field(default_factory=set)
    old_fields: set[tuple[str, str]] = field(default_factory=set)
    dropped_hosts: frozenset[str] = frozenset()
    """Hosts of which the archive's content is no longer taken."""


def key_facts(
    instance: Instance,
    dandiset: str,
    now: Iterable[KeyUse],
    before: Iterable[KeyUse],
    dropped_hosts: frozenset[str] = frozenset(),
) -> KeyFacts:
    """The facts of one key, from the assets that have it ``now`` and those that had it ``before`` and are gone."""
    facts = KeyFacts(dropped_hosts=dropped_hosts)
    for use in now:
        facts.urls.add(instance.asset_url(use.asset_id))
        if use.content_url:
            facts.urls.add(use.content_url)
        facts.fields.update(use.fields)
        facts.fields.add(("dandiset", dandiset))
    for use in before:
        facts.dead.add(instance.asset_url(use.asset_id))
        facts.old_fields.update(use.fields)
    facts.dead -= facts.urls
    return facts


def changed_logs(
    key: KeyLogs, facts: KeyFacts, existing: Mapping[str, bytes], stamp: Stamp, sources: Mapping[str, bool] = ON_THE_WEB
) -> Iterator[tuple[str, bytes]]:
    """The logs of one key that change, with their new content.

    ``existing`` has the logs that are there now, by path; ``sources`` says which remotes, by UUID, give the content.
    """
    old_urls = existing.get(key.urls, b"")
    present = dict.fromkeys(facts.urls, True)
    if old_urls:
        dead = facts.dead | _moved(old_urls, facts.urls) | _at_hosts(old_urls, facts.dropped_hosts) - facts.urls
        present |= dict.fromkeys(dead, False)
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
    """The URLs in a log that have an object of ``urls`` at another host: the bucket has moved."""
    here = {_object(url) for url in urls}
    return {url for url, there in logs.present(log).items() if there and _object(url) in here} - urls


def _at_hosts(log: bytes, hosts: frozenset[str]) -> set[str]:
    """The URLs in a log that are at one of these hosts."""
    if not hosts:
        return set()
    return {url for url, there in logs.present(log).items() if there and _host(url) in hosts}


def _host(url: str) -> str:
    return url.partition("://")[2].partition("/")[0].lower()


def _object(url: str) -> str:
    return url.partition("://")[2].partition("/")[2].partition("?")[0]


def _with_fields(log: bytes, stamp: Stamp, facts: KeyFacts) -> bytes:
    if not log:
        return logs.with_fields(b"", stamp, (), facts.fields)
    # fields that have not changed in the archive stay as they are, also those that a person has changed here
    remove = facts.old_fields - facts.fields if facts.fields else set()
    return logs.with_fields(log, stamp, remove, facts.fields - facts.old_fields - logs.fields(log))
