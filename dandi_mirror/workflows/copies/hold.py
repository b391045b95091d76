"""Hold a share of the content, within a pledge: plan, ask, give up, fetch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dandi_mirror.workflows.copies import copies

if TYPE_CHECKING:
    from dandi_mirror.archive.content.single import ByteCounter
    from dandi_mirror.config import Settings, Sibling
    from dandi_mirror.mirror.copies.shares import HoldResult, Share, ToHold, Where
    from dandi_mirror.mirror.copies.zarrs import RepositoryWriter, ZarrOfVersions
    from dandi_mirror.mirror.state.layout import Mirror
    from dandi_mirror.repo.annex.repository import AnnexRepository


@dataclass(frozen=True, slots=True)
class Pledge:
    """What somebody wants a mirror to hold."""

    mirror: Mirror
    settings: Settings
    siblings: list[Sibling]
    dandisets: list[str]
    most: int
    """Bytes, of all content in the mirror."""
    where: Where = ()
    _writers: dict[str, RepositoryWriter] = field(default_factory=dict)

    def plan(self, *, give_up: bool) -> Share:
        """Plan what to hold; without ``give_up``, give up nothing."""
        from dandi_mirror.mirror.copies.holding import plan_share
        from dandi_mirror.mirror.copies.places import Knowledge

        names = [sibling.name for sibling in self.siblings]
        known = Knowledge.of(self.mirror, names, self.settings.prove_days)
        return plan_share(known, self.dandisets, self.most, self.where, give_up=give_up)

    def carry_out(self, share: Share, jobs: int, meter: ByteCounter) -> Iterator[HoldResult]:
        """Give up and fetch what the plan says.

        Raises:
            DiskError: the disk is full or not writable.
        """
        from dandi_mirror.mirror.copies.challenge import Prover
        from dandi_mirror.mirror.copies.holding import fetch_share, give_up
        from dandi_mirror.mirror.copies.repositories import held_size

        with copies.range_reader(self.settings, self.siblings) as reader:
            prover = Prover(self.mirror, self.siblings, reader)

            def may_go(held: ToHold, keys: list[str]) -> Iterable[str]:
                return prover.proved(held.repository, held.copies, keys, held.needed)

            yield from give_up(share, may_go)
        left = self.most - held_size(self.mirror)
        access = copies.access(self.settings, self.siblings)
        yield from fetch_share(share, left, self._write, access, jobs, meter)

    def _write(self, zarr: ZarrOfVersions) -> AnnexRepository:
        """The repository of a Zarr, which is made if need be."""
        from dandi_mirror.mirror.copies.zarrs import RepositoryWriter
        from dandi_mirror.repo.annex.repository import AnnexRepository

        dandiset = zarr.repository.dandiset
        if (known := self._writers.get(dandiset)) is None:
            dataset = AnnexRepository(self.mirror.dataset(dandiset).path)
            hosts = frozenset(self.settings.content_hosts)
            known = self._writers[dandiset] = RepositoryWriter(self.mirror, dataset, dandiset, hosts)
        return known.write(zarr)
