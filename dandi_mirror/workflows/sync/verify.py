"""Verify a mirror: which Dandisets somebody asked for, with which archive, and how what was found is reported."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dandi_mirror.errors import IntegrityError, UsageError
from dandi_mirror.workflows.access import tokens
from dandi_mirror.workflows.access.current_clone import no_dandiset

if TYPE_CHECKING:
    from dandi_mirror.archive.api.client import ArchiveClient
    from dandi_mirror.config import Settings
    from dandi_mirror.mirror.state.layout import Mirror
    from dandi_mirror.mirror.verify.dataset import Checks
    from dandi_mirror.mirror.verify.run import Verified
    from dandi_mirror.model import Instance


@dataclass(frozen=True, slots=True)
class Repairing:
    """How to repair."""

    told: Callable[[str, str], None]
    """Called with a Dandiset and what is going to be done, before it is done."""
    dry_run: bool = False
    """Only tell it."""


def verified(
    settings: Settings,
    mirror: Mirror,
    ids: list[str],
    checks: Checks,
    *,
    offline: bool,
    deadline: float | None = None,
    repair: Repairing | None = None,
) -> Iterator[Verified]:
    """Verify the Dandisets ``ids``; without any, all that the mirror holds.  With ``repair``, also repair them.

    Raises:
        UsageError: the mirror holds none of them.
        IntegrityError: offline, and nothing says which archive is mirrored.
    """
    from dandi_mirror.mirror.state.damage import without_repository
    from dandi_mirror.mirror.state.options import Pace
    from dandi_mirror.mirror.verify.aside import lost_dandisets
    from dandi_mirror.mirror.verify.run import repair_many, verify_many

    lost = [*lost_dandisets(mirror), *without_repository(mirror)]
    chosen, pace = ids or [*mirror.dandisets(), *lost], Pace(jobs=settings.jobs, deadline=deadline)
    if not chosen:
        raise no_dandiset(mirror.path)
    if missing := sorted(set(ids) - {*mirror.dandisets(), *mirror.registered(), *lost}):
        raise UsageError(f"{mirror.path} does not hold {', '.join(missing)}; mirror it: dandi-mirror sync {missing[0]}")
    if offline:
        instance = mirrored_instance(mirror)
        yield from verify_many(mirror, chosen, instance, checks, None, {}, pace)
        return
    with _archive(settings) as archive:
        entries = {} if ids else archive.dandisets(embargoed=settings.embargoed and archive.session.has_token)
        instance = archive.instance
        damaged = mirror.verifications.damaged() if repair else {}
        found = verify_many(mirror, chosen, instance, checks, archive, entries, pace, damaged)
        if repair:
            # all of them first: a repair must not change what another verification reads
            siblings = tuple(settings.sibling.values())
            found = repair_many(mirror, list(found), checks, archive, repair.told, siblings, dry_run=repair.dry_run)
        yield from found


@contextmanager
def _archive(settings: Settings) -> Iterator[ArchiveClient]:
    from dandi_mirror.archive.api.client import ArchiveClient

    token = tokens.needed(settings.instance) if settings.embargoed else tokens.given(settings.instance)
    with closing(tokens.session(settings, token)) as session:
        yield ArchiveClient(session)


def mirrored_instance(mirror: Mirror) -> Instance:
    """The archive of a mirror, as the mirror itself notes it: its API, and its name in the commits.

    Raises:
        IntegrityError: neither a setting of git nor a commit tells.
    """
    from dandi_mirror.errors import MirrorError
    from dandi_mirror.mirror.sync.messages import instance_of
    from dandi_mirror.model import Instance

    api_url = mirror.archive()
    for dandiset in mirror.dandisets():
        try:
            dataset = mirror.dataset(dandiset)
            commit = dataset.ref("refs/heads/draft") or dataset.ref("refs/heads/published")
            if commit and (name := instance_of(dataset.message(commit))) and api_url:
                return Instance(name, api_url)
        except MirrorError:
            continue  # a damaged one is found later; another one tells the name
    raise IntegrityError(f"{mirror.path}: nothing tells which archive this mirrors; verify it without --offline")


def known_keys(settings: Settings) -> tuple[str, ...]:
    """The API keys of this user, which must not stand in the mirror."""
    found = {value for name, value in os.environ.items() if name.endswith("API_KEY") and len(value) >= 20}
    if token := tokens.given(settings.instance):
        found.add(token.value)
    return tuple(sorted(found))


def verified_record(found: Verified, mirror: Path) -> Mapping[str, object]:
    """The JSON record of what a verification found in one Dandiset."""
    from dandi_mirror.model import is_dandiset_id

    return {
        "action": "verify",
        "path": str(mirror / found.dandiset if is_dandiset_id(found.dandiset) else mirror),
        "type": "dataset",
        "refds": str(mirror),
        "dandiset": found.dandiset,
        "status": found.status,
        "message": found.failure,
        "exit_code": found.exit_code,
        "differences": [
            asdict(difference) | {"remedy": difference.remedy or found.repair, "exit_code": difference.exit_code}
            for difference in found.differences
        ],
    }
