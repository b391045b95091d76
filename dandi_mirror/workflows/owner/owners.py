"""Change who owns a Dandiset: the archive takes a whole list, so what others did meanwhile must not be lost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from dandi_mirror.archive.api.client import whoami
from dandi_mirror.archive.api.owners import User, owners, search_users, set_owners
from dandi_mirror.archive.http.retrying_client import RequestRefused
from dandi_mirror.errors import PartError, UsageError
from dandi_mirror.workflows.access import tokens
from dandi_mirror.workflows.names import naming
from dandi_mirror.workflows.owner.own_dandiset import OwnDandiset

ALIKE = 5
"""So many similar names are proposed for one that the archive does not know."""


@dataclass(frozen=True, slots=True)
class OwnersChange:
    """Owners before and after a change that has not been sent."""

    before: list[User]
    after: list[User]
    you: str
    """The username of the person with the API key."""

    @staticmethod
    def read(own: OwnDandiset, added: Iterable[str], removed: Iterable[str]) -> OwnersChange:
        """Read the owners, and change them.

        Raises:
            UsageError: somebody who is to be removed is no owner.
            PartError: nobody would be left.
        """
        before = owners(own.archive.session, own.dandiset)
        names = {one.username for one in before}
        removed = set(removed)
        if strange := sorted(removed - names):
            raise UsageError(f"{strange[0]} does not own {own.dandiset}; its owners: {', '.join(sorted(names))}")
        after = [one for one in before if one.username not in removed]
        after += [User(name, "") for name in dict.fromkeys(added) if name not in names]
        if not after:
            raise PartError(f"{own.dandiset} needs an owner; add another one before you take off the last one")
        return OwnersChange(before, after, whoami(own.archive.session).username)

    @property
    def is_idle(self) -> bool:
        """Whether nothing would change."""
        return self.before == self.after

    @property
    def takes_yourself_off(self) -> bool:
        """Whether the person with the API key would not own the Dandiset any more."""
        return self.you in {one.username for one in self.before} - {one.username for one in self.after}


def read_owners(text: str, mirror_path: Path, instance: str | None) -> tuple[str, list[User]]:
    """The id of a Dandiset, and its owners, which the archive tells everybody if the Dandiset is open.

    Raises:
        CredentialsError: it is embargoed, and there is no API key.
    """
    name = naming.read_name(text)
    (identifier,) = naming.dandisets([name])
    settings = naming.settings_for(mirror_path, [name], asks_mirrors=True, instance=instance)
    there = tokens.asked(settings.instance, name.instance, lambda archive: owners(archive.session, identifier))
    return identifier, there


def set_and_check(own: OwnDandiset, change: OwnersChange) -> list[User]:
    """Send new owners, unless somebody else changed them meanwhile; the owners that the archive has then.

    Raises:
        PartError: somebody else did, or the archive does not know one of them.
    """
    session = own.archive.session
    if owners(session, own.dandiset) != change.before:
        raise PartError(
            f"somebody else changed the owners of {own.dandiset} meanwhile; nothing was sent; run this again"
        )
    try:
        set_owners(session, own.dandiset, [one.username for one in change.after])
    except RequestRefused as refused:
        unknown = [one.username for one in change.after if one not in change.before and one.username in refused.said]
        if not unknown:
            raise
        raise PartError(f"the archive knows no user {unknown[0]}; {_proposal(own, unknown[0])}") from None
    if change.takes_yourself_off:
        return change.after  # an embargoed Dandiset tells its owners only to them
    return owners(session, own.dandiset)


def _proposal(own: OwnDandiset, name: str) -> str:
    found = {one.username: one for begun in {name, name[:3]} for one in search_users(own.archive.session, begun)}
    near = get_close_matches(name, found, ALIKE, 0.5) or sorted(found)[:ALIKE]
    shown = ", ".join(f"{user} ({found[user].name})" if found[user].name else user for user in near)
    return f"did you mean {shown}?" if near else "people must have logged in to the archive once, to be known there"
