"""Which Dandisets a run takes that names none: the rules ``include`` and ``exclude``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from dandi_mirror.model import is_dandiset_id


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules as they are written: six digits are the Dandiset of that id and no other; anything else is a regular
    expression that is searched for in the id, and in the name of the draft, each by itself."""

    include: tuple[str, ...] = ()
    """One of these must match, if there is any."""
    exclude: tuple[str, ...] = ()
    """None of these may match; they come before the others."""

    def take(self, dandiset: str, name: str | None) -> bool:
        """Whether a Dandiset is taken.

        Of one whose name is not known (the archive lists it no more) the id decides alone, and it is left out only
        by a rule that excludes it: what is mirrored is not lost from sight because the archive is silent about it.
        """
        if _any_matches(self.exclude, dandiset, name):
            return False
        return not self.include or name is None or _any_matches(self.include, dandiset, name)


def _any_matches(rules: Iterable[str], dandiset: str, name: str | None) -> bool:
    return any(
        rule == dandiset if is_dandiset_id(rule) else any(re.search(rule, text) for text in (dandiset, name) if text)
        for rule in rules
    )
