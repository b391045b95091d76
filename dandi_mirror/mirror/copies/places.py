"""Which repositories may hold copies of a Dandiset's content, and whether what they claim counts."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dandi_mirror.mirror.copies.repositories import MirrorRepository
from dandi_mirror.mirror.copies.table import Place
from dandi_mirror.mirror.state.copies import KnownCopies
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.repo.annex import settings
from dandi_mirror.repo.annex.locations import read_locations, read_trust
from dandi_mirror.repo.annex.logs import WEB, api_of, embargo_remote
from dandi_mirror.repo.git.dataset import ANNEX, Dataset

HERE = "here"
LIAR = 0.1
"""The share of wrong claims that a challenge finds; so many new claims may come before the next one."""
DAY = 86400.0
_NOT_TRUSTED = {"X": "git-annex's trust log says that it is dead", "0": "git-annex's trust log says: untrusted"}


@dataclass(frozen=True, slots=True)
class RepositoryCopies:
    """What the git-annex branch of one repository says about copies."""

    dataset: Dataset
    uuid: str
    """Of this repository; empty if git-annex is not initialised."""
    locations: Mapping[str, frozenset[str]]
    places: tuple[Place, ...]
    """This repository first, then the siblings'."""
    archives: frozenset[str]
    """UUIDs of the remotes that ask the archive."""

    @property
    def elsewhere(self) -> tuple[Place, ...]:
        """The siblings' repositories."""
        return tuple(place for place in self.places if place.name != HERE)


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What a mirror knows of the others, at one time."""

    mirror: Mirror
    siblings: tuple[str, ...]
    """The names of the mirrors in the settings."""
    copies: KnownCopies
    prove_days: int
    """A claim that was proved longer ago than this does not count."""
    now: float
    """Seconds since 1970."""

    @classmethod
    def of(cls, mirror: Mirror, siblings: Iterable[str], prove_days: int) -> Knowledge:
        """What a mirror knows now."""
        return cls(mirror, tuple(siblings), mirror.copies.read(), prove_days, time.time())

    def is_claimed(self, repository: MirrorRepository) -> bool:
        """Whether another mirror is known to have this repository."""
        return any((name, repository.name) in self.copies.uuids for name in self.siblings)


def read_copies(known: Knowledge, repository: MirrorRepository) -> RepositoryCopies:
    """Read where the content of a repository is.

    Raises:
        GitError, DamagedError: the repository cannot be read.
    """
    dataset = repository.clone(known.mirror).dataset
    branch = dataset.ref(ANNEX)
    uuid = settings.read(dataset.path).get("annex.uuid", "")
    trust = read_trust(dataset, branch)
    with dataset.reader() as reader:
        (remotes,) = reader.read([f"{branch}:remote.log"], instead=b"") if branch else (b"",)
    api = api_of(remotes or b"")
    closed = {embargo_remote(f"{scheme}://{api}")[0] for scheme in ("https", "http")} if api else set()
    places = [Place(HERE, uuid)] if uuid else []
    for name in known.siblings:
        if there := known.copies.uuids.get((name, repository.name), ""):
            places.append(_place(name, there, trust.get(there, ""), known))
    return RepositoryCopies(dataset, uuid, read_locations(dataset, branch), tuple(places), frozenset({WEB, *closed}))


def _place(name: str, uuid: str, trust: str, known: Knowledge) -> Place:
    proof, claims, now = known.copies.proofs.get(name), known.copies.claims.get(name, 0), known.now
    proved = proof.ended if proof and not proof.failed else None
    why = _NOT_TRUSTED.get(trust, "")
    if not why and proof is None:
        why = "not challenged yet"
    elif not why and proof and proof.failed:
        why = f"{proof.failed} of its claims were wrong"
    elif not why and proved is not None and now - proved > known.prove_days * DAY:
        why = f"not proved for {int((now - proved) / DAY)} days"
    elif not why and proof and claims > proof.claims * (1 + LIAR):
        why = f"it says it has {claims:,} files; when it was challenged, it said {proof.claims:,}; challenge it again"
    return Place(name, uuid, proved, not why, why)
