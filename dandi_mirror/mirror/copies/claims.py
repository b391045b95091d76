"""Take into this mirror what other mirrors say they have: the location logs of their git-annex branches.

Of a mirror's branch only the lines about its own repository are believed, and only for keys that are known here.  URLs,
trust, remotes and what it says about others are not read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from dandi_mirror.config import Sibling
from dandi_mirror.errors import IntegrityError, MirrorError, NotFoundError, PartError, TemporaryError
from dandi_mirror.mirror.copies.repositories import MirrorRepository
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.repo.annex.keys import size_of
from dandi_mirror.repo.annex.locations import Places, is_uuid, read_locations
from dandi_mirror.repo.annex.log_writer import record_presence
from dandi_mirror.repo.annex.repository import AnnexRepository
from dandi_mirror.repo.git import mirrors
from dandi_mirror.repo.git.dataset import ANNEX
from dandi_mirror.repo.git.process import git

ReadUrl = Callable[[str, int], bytes]
"""Reads at most so many bytes from a URL of a mirror that the settings name."""
_LARGEST_CONFIG = 1 << 16
"""Bytes of a git config."""
_SPECIAL = "00000000-0000-0000-0000-00000000000"
"""How the UUIDs of git-annex's own remotes begin."""


@dataclass(slots=True)
class FetchedClaims:
    """What was fetched of one dataset of another mirror."""

    dandiset: str
    sibling: str
    status: str = "notneeded"
    """DataLad's words: ``ok``, ``notneeded``, ``error``."""
    message: str = ""
    keys: int = 0
    """Keys that the other mirror says it has, of those that are known here."""
    size: int = 0
    """Bytes of these."""
    new: int = 0
    """Keys that it did not have at the last fetch."""
    gone: int = 0
    """Keys that it has no longer."""
    exit_code: int = 0


def claims_to_record(ours: Places, theirs: Places, uuid: str, struck: Collection[str]) -> dict[str, bool]:
    """What changes in our location logs about another mirror's repository: key → whether it is there.  Pure.

    ``theirs`` is its git-annex branch; claims about the keys ``struck`` are not believed.
    """
    changes = {}
    for key, places in ours.items():
        claimed = uuid in theirs.get(key, ()) and key not in struck
        if claimed != (uuid in places):
            changes[key] = claimed
    return changes


def why_not_its_own(uuid: str, others: Mapping[str, str]) -> str:
    """Why a mirror cannot have this UUID; empty if it can.  ``others``: UUID → whose it is.  Pure."""
    if not is_uuid(uuid):
        return "its repository has no UUID of git-annex; on that machine, type in it: git annex init"
    if uuid.startswith(_SPECIAL):
        return "it says that it is one of git-annex's own remotes"
    return f"it says that it is {others[uuid]}" if uuid in others else ""


def fetch_repository(
    mirror: Mirror, sibling: Sibling, repository: MirrorRepository, read_url: ReadUrl, result: FetchedClaims
) -> bool:
    """Fetch what a mirror says it has of one repository; whether it has that repository.  Only under the lock."""
    clone = repository.clone(mirror)
    dataset = clone.dataset
    clone.prepare()
    uuid = own_uuid(clone, sibling, repository, read_url)
    if uuid is None:
        return False
    known = mirror.copies.read()
    before = known.uuids.get((sibling.name, repository.name), "")
    others = {there: f"the sibling {name}" for (name, of), there in known.uuids.items()
              if of == repository.name and name != sibling.name}  # fmt: skip
    if why := why_not_its_own(uuid, others | _ours(clone)):
        raise IntegrityError(f"{sibling.name}: {why}; nothing of it was taken")
    mirrors.set_up_remote(dataset, sibling, repository.place, uuid)
    commit = mirrors.fetch_logs(dataset, sibling, repository.place)
    ours, theirs = read_locations(dataset, dataset.ref(ANNEX)), read_locations(dataset, commit)
    changes = claims_to_record(ours, theirs, uuid, known.struck.get(uuid, {}))
    presence = {key: {uuid: there} for key, there in changes.items()}
    if before and before != uuid:
        # made anew there: what the old repository had is not there any more
        for key in had(ours, before):
            presence[key] = presence.get(key, {}) | {before: False}
    record_presence(clone, presence, {uuid: sibling.name})
    held = [key for key, places in ours.items() if changes.get(key, uuid in places)]
    mirror.copies.put_repository(sibling.name, repository.name, uuid, time.time(), len(held))
    result.keys, result.size = result.keys + len(held), result.size + sum(map(size_of, held))
    result.new, result.gone = result.new + sum(changes.values()), result.gone + sum(not t for t in changes.values())
    result.status = "ok" if presence else result.status
    return True


def had(ours: Places, uuid: str) -> list[str]:
    """The keys that a repository has, as recorded."""
    return [key for key, places in ours.items() if uuid in places]


def own_uuid(clone: AnnexRepository, sibling: Sibling, repository: MirrorRepository, read_url: ReadUrl) -> str | None:
    """What a mirror says is the UUID of its repository; None if it does not have that repository."""
    if not mirrors.is_http(sibling):
        return mirrors.uuid_there(clone.dataset, sibling, repository.place)
    try:
        config = read_url(f"{mirrors.place_of(sibling, repository.place)}/config", _LARGEST_CONFIG)
    except NotFoundError:
        return None
    except TemporaryError:
        raise
    except MirrorError as error:
        raise PartError(f"{sibling.name}: the UUID of its repository cannot be read: {error}") from error
    return mirrors.uuid_of_config(clone.dataset, config)


def _ours(clone: AnnexRepository) -> dict[str, str]:
    """UUIDs that are no other mirror's: this repository's, and those of the remotes that ask the archive."""
    remotes = clone.logs(["remote.log"])["remote.log"].decode(errors="replace").splitlines()
    special = {line.partition(" ")[0]: "a remote that asks the archive" for line in remotes if line}
    return special | {clone.uuid: "this mirror"}


def add_wanted(clone: AnnexRepository) -> None:
    """Tell git-annex that this repository wants what it has, and nothing else: ``hold`` decides what it has.

    So ``git annex get --auto``, ``drop --auto`` and ``sync --content`` leave the pledge alone.
    """
    git(clone.path, "annex", "wanted", ".", "present")
