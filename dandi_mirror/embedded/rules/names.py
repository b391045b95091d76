"""What the API accepts as an id, an asset's path, and the name of a version."""

from __future__ import annotations

import re
from collections.abc import Container
from datetime import UTC, datetime, timedelta

from dandi_mirror.embedded.rules.refusals import Refused

LONGEST_PATH = 512
"""Characters in an asset's path at most."""
DANDISET = r"\d{6}"
VERSION = r"0\.\d{6}\.\d{4}|draft"
UUID4 = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"

# The server writes `^(C?\/?\.?C)+$` with C below, which takes exponential time to refuse; this is the same
# set of strings. `A-z` is its own slip: it lets in [ \ ] ^ _ and the backtick.
_PATH = re.compile(r"(?:/?\.?[A-z0-9(),&\s#+~_=-])+", re.ASCII)


def check_path(path: str) -> None:
    """Check an asset's path as the server does.

    Raises:
        Refused: 400 with the server's words; 500 for white space outside ASCII, as recorded.
    """
    if path.startswith("/"):
        raise Refused(400, {"non_field_errors": ["Path must not begin with /"]})
    if not _PATH.fullmatch(path):
        ascii_only = "".join(" " if c.isspace() else c for c in path)
        if _PATH.fullmatch(ascii_only):
            raise Refused(500, "white space outside ASCII in an asset's path")
        raise Refused(400, {"non_field_errors": ["Path improperly formatted"]})
    if len(path) > LONGEST_PATH:
        words = f"Ensure this value has at most {LONGEST_PATH} characters (it has {len(path)})."
        raise Refused(400, words)


def check_zarr_path(field: str, path: str) -> None:
    """Check a path inside a Zarr as the server does: anything but a component ``..``, also behind a backslash.

    Raises:
        Refused: 400 with the name of the field.
    """
    if ".." in path.replace("\\", "/").split("/"):
        raise Refused(400, {field: ['Zarr path cannot contain ".." components.']})


def folders_of(path: str) -> list[str]:
    """The folders above ``path``, outermost first: ``a/b/c`` has ``a`` and ``a/b``."""
    return [path[:at] for at, letter in enumerate(path) if letter == "/"]


def version_name(now: datetime, taken: Container[str]) -> str:
    """The name of a version published at ``now``, a minute later for each collision with ``taken``.

    So a name may be of a time in the future.
    """
    while (name := now.astimezone(UTC).strftime("0.%y%m%d.%H%M")) in taken:
        now += timedelta(minutes=1)
    return name


def like(pattern: str) -> re.Pattern[str]:
    """A ``glob=`` of the asset list: the whole path, case ignored; only ``*`` is special."""
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.IGNORECASE | re.DOTALL)
