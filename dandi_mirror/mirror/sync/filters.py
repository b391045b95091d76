"""The settings ``include`` and ``exclude``: which Dandisets a run over the whole archive takes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from dandi_mirror.model import is_dandiset_id


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of the settings.

    Six digits mean the Dandiset of that id.  Anything else is a regular expression; it matches if it is found in the
    id or in the name of the draft.
    """

    include: tuple[str, ...] = ()
    """If there are any, one of them must match."""
    exclude: tuple[str, ...] = ()
    """None of these may match, whatever ``include`` says."""

    def take(self, dandiset: str, name: str | None) -> bool:
        """Whether the run takes a Dandiset.

        ``name`` is None if the archive does not list the Dandiset any more: then only ``exclude`` leaves it out, by its
        id, so that a mirrored Dandiset stays in sight.
        """
        if _any_matches(self.exclude, dandiset, name):
            return False
        return not self.include or name is None or _any_matches(self.include, dandiset, name)


def _any_matches(rules: Iterable[str], dandiset: str, name: str | None) -> bool:
    return any(
        rule == dandiset if is_dandiset_id(rule) else any(re.search(rule, text) for text in (dandiset, name) if text)
        for rule in rules
    )
