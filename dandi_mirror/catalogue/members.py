"""Which Dandisets of a mirror a catalogue shows."""

from __future__ import annotations

import orjson

from dandi_mirror.errors import CredentialsError
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.state.remembered import RememberedDandiset
from dandi_mirror.model import FindingKind

OPEN = "OPEN"
_CLOSED = {FindingKind.EMBARGOED, FindingKind.FORBIDDEN}


def members(mirror: Mirror, *, embargoed: bool) -> dict[str, bool]:
    """The Dandisets to show, and whether each is under embargo; with ``embargoed`` also these.

    A Dandiset counts as open if it was so when it was last synced; one of which nothing is remembered does not.
    """
    memory, _ = mirror.remembered()
    closed = {name: not is_open(memory.dandisets.get(name)) for name in mirror.dandisets()}
    return {name: shut for name, shut in closed.items() if embargoed or not shut}


def is_open(facts: RememberedDandiset | None) -> bool:
    """Whether everybody may read a Dandiset, as far as the mirror knows."""
    if facts is None or any(finding.kind in _CLOSED for finding in facts.findings):
        return False
    if facts.failure and facts.failure.exit_code == CredentialsError.exit_code:
        return False  # the archive did not show it to the last run
    try:
        return bool(orjson.loads(facts.entry)["embargo_status"] == OPEN)
    except (ValueError, KeyError, TypeError):
        return False
