"""JSON and times as the API writes them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import orjson


def dumps(value: Any) -> bytes:
    """``value`` as compact JSON; times in UTC with ``Z``, their fraction left out when it is 0.

    The standard library writes values that orjson cannot (lone surrogates, integers over 64 bits).
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_UTC_Z)
    except TypeError:
        return json.dumps(value, default=api_time, separators=(",", ":")).encode()


def api_time(moment: datetime) -> str:
    """``moment`` as in the fields ``created`` and ``modified``: ``2026-11-22T07:35:02.290333Z``."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def metadata_time(moment: datetime) -> str:
    """``moment`` as inside metadata: ``2026-11-22T07:35:02.290333+00:00``."""
    return moment.astimezone(UTC).isoformat()


def moment(value: datetime | str) -> datetime:
    """An aware time from a time or from the API's spelling of one (no zone is UTC)."""
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    return found if found.tzinfo else found.replace(tzinfo=UTC)
