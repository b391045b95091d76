"""What a sync writes to the git-annex branch: pure, from the keys it touched to the files of their logs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from dandi_mirror.mirror.tree import Annexed
from dandi_mirror.model import Instance
from dandi_mirror.repo import logs
from dandi_mirror.repo.keys import hash_dir_lower
from dandi_mirror.repo.logs import Stamp

Fields = set[tuple[str, str]]


@dataclass(slots=True)
class KeyFacts:
    """What the archive says of one key now, and what it said before."""

    urls: set[str] = field(default_factory=set)
    """Alive."""
    dead: set[str] = field(default_factory=set)
    """URLs of asset ids that are no more."""
    fields: Fields = field(default_factory=set)
    old_fields: Fields = field(default_factory=set)


def key_facts(
    instance: Instance, dandiset: str, now: Iterable[Annexed], before: Iterable[Annexed], touched: set[str]
) -> dict[str, KeyFacts]:
    """The facts of every touched key, sorted by key.

    ``now`` are all places where keys stand, ``before`` those that are there no more and whose asset ids are
    not known to live on in a published version.
    """
    facts = {key: KeyFacts() for key in sorted(touched)}
    for place in now:
        fact = facts.get(place.key)
        if fact is not None:
            fact.urls.add(instance.asset_url(place.asset_id))
            if place.content_url:
                fact.urls.add(place.content_url)
            fact.fields.update(place.fields)
            fact.fields.add(("dandiset", dandiset))
    for place in before:
        fact = facts[place.key]
        fact.dead.add(instance.asset_url(place.asset_id))
        fact.old_fields.update(place.fields)
    for fact in facts.values():
        fact.dead -= fact.urls
    return facts


def log_names(keys: Iterable[str]) -> Iterator[tuple[str, str, str, str]]:
    """Each key with the paths of its location, URL and metadata logs."""
    for key in keys:
        directory = hash_dir_lower(key)
        yield (
            key,
            logs.location_path(directory, key),
            logs.url_path(directory, key),
            logs.metadata_path(directory, key),
        )


def changed_logs(
    facts: Mapping[str, KeyFacts], existing: Mapping[str, bytes], stamp: Stamp
) -> Iterator[tuple[str, bytes]]:
    """The files of the branch that change, with their new content.

    ``existing`` holds the logs that are there now, by path.
    """
    for key, location, url, metadata in log_names(facts):
        fact = facts[key]
        old_urls = existing.get(url, b"")
        present = dict.fromkeys(fact.urls, True)
        present |= dict.fromkeys(fact.dead | _moved(old_urls, fact.urls), False)
        new = {
            location: logs.with_presence(existing.get(location, b""), stamp, {logs.WEB: True}),
            url: logs.with_presence(old_urls, stamp, present),
            metadata: _with_fields(existing.get(metadata, b""), stamp, fact),
        }
        for path, content in new.items():
            if content and content != existing.get(path):
                yield path, content


def _moved(log: bytes, urls: set[str]) -> set[str]:
    """URLs in a log that name an object of ``urls`` at another host: the bucket has moved."""
    if not log:
        return set()
    here = {_object(url) for url in urls}
    return {url for url, there in logs.present(log).items() if there and _object(url) in here} - urls


def _object(url: str) -> str:
    return url.partition("://")[2].partition("/")[2].partition("?")[0]


def _with_fields(log: bytes, stamp: Stamp, fact: KeyFacts) -> bytes:
    if not log:
        return logs.with_fields(b"", stamp, (), fact.fields)
    # what has not changed in the archive is left as it is, also where a person has changed it here
    remove = fact.old_fields - fact.fields if fact.fields else set()
    return logs.with_fields(log, stamp, remove, fact.fields - fact.old_fields - logs.fields(log))
