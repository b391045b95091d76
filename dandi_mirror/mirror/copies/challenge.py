"""Challenge other mirrors: compare random ranges of content that they say they have with our own or the archive's."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from random import SystemRandom

from dandi_mirror.config import Sibling
from dandi_mirror.digests import hasher
from dandi_mirror.errors import IntegrityError, MirrorError, PartError, TemporaryError
from dandi_mirror.mirror.copies.places import LIAR, RepositoryCopies
from dandi_mirror.mirror.copies.ranges import LARGEST, Absent, RangeReader
from dandi_mirror.mirror.copies.repositories import MirrorRepository
from dandi_mirror.mirror.copies.zarrs import claimed_repositories
from dandi_mirror.mirror.state.copies import KnownCopies, Proof
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.repo.annex.keys import digest_of, size_of
from dandi_mirror.repo.annex.locations import read_locations
from dandi_mirror.repo.annex.log_writer import record_presence
from dandi_mirror.repo.git.dataset import ANNEX

MISSED = 0.001
"""How often a mirror may go undetected that lies about a share of :data:`LIAR` of its keys."""
_RANGE = 1 << 16
"""Bytes that are compared."""
_CHANCE = SystemRandom()
_SHOWN = 3


def challenges_needed(share: float = LIAR, missed: float = MISSED) -> int:
    """How many random claims to look at, so that a liar about a ``share`` is missed this rarely.  Pure."""
    return math.ceil(math.log(missed) / math.log(1 - share))


Claim = tuple[MirrorRepository, str]
"""A key in a repository."""


@dataclass(slots=True)
class Challenged:
    """What a challenge of one mirror found."""

    sibling: str
    claims: int = 0
    """How many keys it says it has."""
    asked: int = 0
    """Claims that were looked at, and could be decided."""
    wrong: dict[Claim, str] = field(default_factory=dict)
    """Why claims are wrong."""
    undecided: list[str] = field(default_factory=list)
    """Why claims could not be decided."""
    proved: bool = False
    """Whether its claims count from now on."""
    message: str = ""
    exit_code: int = 0


def challenge(
    mirror: Mirror, dandisets: Iterable[str], siblings: Iterable[Sibling], reader: RangeReader, count: int
) -> Iterator[Challenged]:
    """Challenge each of these mirrors with ``count`` random claims, and those that were wrong before."""
    chosen = list(dandisets)
    for sibling in siblings:
        found = Challenged(sibling.name)
        try:
            _challenge(mirror, chosen, sibling, reader, count, found)
        except MirrorError as error:
            found.message, found.exit_code = str(error), error.exit_code
        yield found


def _challenge(
    mirror: Mirror, dandisets: list[str], sibling: Sibling, reader: RangeReader, count: int, found: Challenged
) -> None:
    known = mirror.copies.read()
    claims, struck = _claims(mirror, dandisets, sibling, known)
    found.claims = len(claims)
    looks: dict[MirrorRepository, Look] = {}
    right: list[Claim] = []
    for repository, key in [*struck, *_CHANCE.sample(claims, min(count, len(claims)))]:
        try:
            look = looks.setdefault(repository, Look(mirror, repository, reader))
            why = look.why_wrong(sibling, key)
        except TemporaryError as error:
            # it was tried for minutes; the other claims would take as long each
            found.undecided.append(str(error))
            break
        except MirrorError as error:
            found.undecided.append(str(error))
            continue
        found.asked += 1
        if why:
            found.wrong[repository, key] = why
        else:
            right.append((repository, key))
    # the next fetch believes these again
    found.claims += len(set(struck).intersection(right))
    _remember(mirror, sibling, known, found, right, min(count, len(claims)))
    _say(found)


def _claims(
    mirror: Mirror, dandisets: list[str], sibling: Sibling, known: KnownCopies
) -> tuple[list[Claim], list[Claim]]:
    """What a mirror says it has, and what was wrong of that before."""
    claims, struck = [], []
    for repository in claimed_repositories(mirror, dandisets, sibling.name, known):
        uuid = known.uuids[sibling.name, repository.name]
        dataset = repository.clone(mirror).dataset
        locations = read_locations(dataset, dataset.ref(ANNEX))
        claims += [(repository, key) for key, places in locations.items() if uuid in places and size_of(key, -1) >= 0]
        struck += [(repository, key) for key in known.struck.get(uuid, {}) if key in locations]
    if not claims and not any(name == sibling.name for name, _ in known.uuids):
        raise PartError(f"{sibling.name} was not fetched yet; first: dandi-mirror fetch {sibling.name}")
    return claims, struck


class Look:
    """Looks at claims about the content of one repository."""

    def __init__(self, mirror: Mirror, repository: MirrorRepository, reader: RangeReader) -> None:
        self._place = repository.place
        self._clone = repository.clone(mirror)
        self._reader = reader

    def why_wrong(self, sibling: Sibling, key: str) -> str:
        """Why a mirror's claim to have a key's content is wrong; empty if a random range of it is right.

        Raises:
            MirrorError: nobody can tell now.
        """
        size = size_of(key)
        length = min(size, _RANGE)
        begin = _CHANCE.randint(0, size - length)
        try:
            true = self._reader.here(self._clone, key, begin, length)
            if true is None:
                ((_, facts),) = self._clone.facts([key])
                true = self._reader.archive(facts.urls, key, begin, length)
            if true is None:
                return self._why_wrong_whole(sibling, key, size)
            said = self._reader.there(sibling, self._place, key, begin, length)
        except Absent as error:
            return str(error)
        return "" if said == true else f"its bytes from {begin:,} to {begin + length:,} are others"

    def _why_wrong_whole(self, sibling: Sibling, key: str, size: int) -> str:
        """The same for content that is neither here nor at the archive: all of it, by the key's checksum."""
        digest = digest_of(key)
        if not digest or size > LARGEST:
            raise PartError("its content is neither here nor at the archive, so that nothing can be compared")
        computed = hasher(digest)
        computed.update(self._reader.there(sibling, self._place, key, 0, size))
        return "" if computed.hexdigest() == digest else "its bytes are not those of the key"


def _remember(
    mirror: Mirror,
    sibling: Sibling,
    known: KnownCopies,
    found: Challenged,
    right: list[Claim],
    needed: int,
) -> None:
    """Remember what was proved, and take wrong claims out of the location logs."""
    found.proved = not found.wrong and found.asked >= needed
    by_repository: dict[MirrorRepository, dict[str, str]] = {}
    for (repository, key), why in found.wrong.items():
        by_repository.setdefault(repository, {})[key] = why
    for repository, wrong in by_repository.items():
        strike(mirror, repository, known.uuids[sibling.name, repository.name], wrong)
    for repository, key in right:
        mirror.copies.unstrike(known.uuids[sibling.name, repository.name], [key])
    if found.wrong or found.proved:
        mirror.copies.put_proof(sibling.name, Proof(time.time(), found.asked, len(found.wrong), found.claims))


def strike(mirror: Mirror, repository: MirrorRepository, uuid: str, wrong: Mapping[str, str]) -> None:
    """Take wrong claims (key → why) out of the location logs, and do not believe them until they are proved."""
    with mirror.lock(repository.dandiset):
        clone = repository.clone(mirror)
        clone.prepare()
        mirror.copies.strike(uuid, wrong.items())
        record_presence(clone, {key: {uuid: False} for key in wrong})


def _say(found: Challenged) -> None:
    if found.wrong:
        few = "; ".join(f"{where.name} {key}: {why}" for (where, key), why in list(found.wrong.items())[:_SHOWN])
        more = f"; and {len(found.wrong) - _SHOWN} more" if len(found.wrong) > _SHOWN else ""
        found.message = (
            f"{len(found.wrong)} of {found.asked} claims are wrong, so none of its claims counts now; ask whoever runs "
            f"it to type: git annex fsck ({few}{more})"
        )
        found.exit_code = IntegrityError.exit_code
    elif not found.proved:
        found.message = f"{len(found.undecided)} claims could not be decided: {next(iter(found.undecided), '')}"
        found.exit_code = PartError.exit_code


class Prover:
    """Proves the copies of single keys, before they are given up here."""

    def __init__(self, mirror: Mirror, siblings: Iterable[Sibling], reader: RangeReader) -> None:
        self._mirror = mirror
        self._siblings = {sibling.name: sibling for sibling in siblings}
        self._reader = reader
        self._away: set[str] = set()

    def proved(
        self, repository: MirrorRepository, copies: RepositoryCopies, keys: Iterable[str], needed: int
    ) -> list[str]:
        """The keys of which at least ``needed`` mirrors have just shown a random range; wrong claims are struck."""
        look, found = Look(self._mirror, repository, self._reader), []
        wrong: dict[str, dict[str, str]] = {}
        for key in keys:
            count = 0
            for place in copies.elsewhere:
                has = place.uuid in copies.locations.get(key, ())
                if not place.counts or not has or place.name in self._away:
                    continue
                try:
                    why = look.why_wrong(self._siblings[place.name], key)
                except MirrorError as error:
                    # its copy is not proved; one that was tried for minutes is not asked again
                    self._away |= {place.name} if isinstance(error, TemporaryError) else set()
                    continue
                count += not why
                if why:
                    wrong.setdefault(place.uuid, {})[key] = why
            found += [key] if count >= needed else []
        for uuid, claims in wrong.items():
            strike(self._mirror, repository, uuid, claims)
        return found
