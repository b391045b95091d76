"""What may be wrong with a repository: each by its name, alone or with others.

A mutation is called ``KIND: WHAT``; those of one kind that exclude each other simply come one after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.hostile.repositories.stage import CLONE, MIRROR

Change = Callable[..., object]
"""Called with a :class:`Stage`; further arguments have what they need as their default."""
BOTH = (CLONE, MIRROR)
GITS = ("git config: ", "ref: ", "object: ", ".git: ")
"""Git itself may end at once where these are wrong, and says why; no command can do more than to repeat it."""
LEADING = {"object: alternates", ".git: a file that points elsewhere", ".git: a link to another repository"}
"""Ways in which git itself reads another repository, in a ``.git`` that was unpacked; docs/security.md says so."""


@dataclass(frozen=True)
class Mutation:
    """One thing that is wrong."""

    name: str
    kinds: tuple[str, ...]
    """Whether it can be wrong with a clone, with a mirror, or with both."""
    change: Change
    late: bool = False
    """Whether git might stumble over it while others are made."""
    granted: frozenset[str] = frozenset()
    """Kinds of problems that `docs/security.md` says are not promised here: counted, and no failure."""


CATALOGUE: dict[str, Mutation] = {}


def add(
    name: str,
    change: Change,
    kinds: tuple[str, ...] = BOTH,
    *,
    late: bool = False,
    granted: frozenset[str] = frozenset(),
) -> None:
    """Have one more in the catalogue."""
    assert name not in CATALOGUE, name
    if late and name.startswith(GITS):
        granted |= {"git does not read it"}
    if name in LEADING or name.endswith(" is a link to another's"):
        granted |= {"a file elsewhere was opened"}
    CATALOGUE[name] = Mutation(name, kinds, change, late, granted)


def mutation(name: str, kinds: tuple[str, ...] = BOTH, *, late: bool = False) -> Callable[[Change], Change]:
    """The same for a function that is written out."""

    def keep(change: Change) -> Change:
        add(name, change, kinds, late=late)
        return change

    return keep


def in_order(names: list[str]) -> list[Mutation]:
    """As they can be made: what git stumbles over comes last."""
    return sorted((CATALOGUE[name] for name in names), key=lambda mutation: mutation.late)
