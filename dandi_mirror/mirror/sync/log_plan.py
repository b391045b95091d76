"""Which git-annex logs a sync has to look at, by comparing the records before and after: pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from dandi_mirror.mirror.format.annex_metadata import annex_fields
from dandi_mirror.mirror.format.log_changes import KeyUses, uses_by_key
from dandi_mirror.mirror.format.record_reader import Record, admit
from dandi_mirror.mirror.format.tree import ExtraKeyUse, KeyUse, is_text
from dandi_mirror.repo.annex import logs
from dandi_mirror.repo.annex.keys import annex_key


@dataclass(frozen=True, slots=True)
class RecordChanges:
    """How the records of a branch differ from those that it had."""

    gone: tuple[ExtraKeyUse, ...] = ()
    """The annexed files whose records are not there any more in the same words."""
    changed: frozenset[str] = frozenset()
    """The ids of the assets whose records are new, changed or refused."""


@dataclass(frozen=True, slots=True)
class LogPlan:
    """The keys whose logs a sync looks at."""

    now: KeyUses
    """With the assets that have each key now."""
    before: KeyUses
    """With the assets that had it and that the archive does not have any more."""


def record_changes(old: Iterable[bytes], new: Iterable[bytes], refused: Iterable[str]) -> RecordChanges:
    """Compare the lines of the files of records that a sync replaces, ``old``, with those that it writes, ``new``.

    ``refused`` are the ids of the assets that the sync refuses.
    """
    lost, changed = set(old), set(refused)
    for line in new:
        if line in lost:
            lost.discard(line)
        elif isinstance(record := admit(line), Record):
            changed.add(record.asset_id)
    return RecordChanges(tuple(chain.from_iterable(map(_annexed, lost))), frozenset(changed))


def _annexed(line: bytes) -> Iterator[ExtraKeyUse]:
    """The annexed file of a record; none for text, and none for an asset that the archive keeps.

    The archive keeps an asset that a published version holds.
    """
    record = admit(line)
    if not isinstance(record, Record) or "datePublished" in record.metadata:
        return
    if record.zarr or is_text(record.path, record.size):
        return
    key = annex_key(record.size, record.sha256, record.path)
    yield ExtraKeyUse(key, record.asset_id, None, annex_fields(record.metadata, record.path))


def plan_logs(
    published: Iterable[KeyUse], branch: Iterable[KeyUse], changes: RecordChanges | None, *, whole: bool = False
) -> LogPlan:
    """Choose the keys whose logs may change.

    ``published`` and ``branch`` are the annexed files of the versions to be tagged and of the branch; ``changes`` is
    None where the branch had nothing before.  With ``whole``, the plan has every key.
    """
    published = list(published)
    everything = [*published, *branch]
    if changes is None:
        return LogPlan(uses_by_key(everything), {})
    present = {use.asset_id for use in everything}
    gone = [use for use in changes.gone if use.asset_id not in present]
    if whole:
        return LogPlan(uses_by_key(everything), uses_by_key(gone))
    touched = {use.key for use in chain(published, gone)}
    touched |= {use.key for use in everything if use.asset_id in changes.changed}
    return LogPlan(uses_by_key(everything, touched), uses_by_key(gone))


def remote_logs(
    existing: Mapping[str, bytes], api_url: str, stamp: logs.Stamp, *, closed: bool
) -> Iterator[tuple[str, bytes]]:
    """The files of the git-annex branch about remotes that change, with their new content.

    ``existing`` has those that are there; ``closed``: the Dandiset is embargoed.  The remote for embargoed content is
    marked dead where there is no embargo, or a clone would look for the program that it needs.
    """
    uuid, words = logs.embargo_remote(api_url)
    before, trust = existing.get("remote.log", b""), existing.get("trust.log", b"")
    after = logs.with_remote(before, *logs.api_remote(api_url), stamp)
    after = logs.with_remote(after, uuid, words, stamp) if closed else after
    if after != before:
        yield "remote.log", after
    level = "?" if closed else "X"
    if uuid.encode() in after and (changed := logs.with_trust(trust, uuid, level, stamp)) != trust:
        yield "trust.log", changed
