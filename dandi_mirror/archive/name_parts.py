"""Check the parts of a name that a person typed; the error for one names the closest correct one.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

from dandi_mirror.archive.instances import KNOWN
from dandi_mirror.errors import UsageError
from dandi_mirror.model import DRAFT, is_dandiset_id, is_version_id

FORMS = "an id has six digits: write 000004, 000004@0.220126.1852, 000004@draft/sub-1/ or the link of its page"
_A_VERSION = "use draft or, for example, 0.220126.1852"
NEAREST = 3
"""Versions that a message names."""
SHOWN = 120
"""Letters of a name that a message shows."""
_NUMBER = re.compile(
    r"(?:dandi://(?=[a-z]))?(?:(?P<word>[a-z][a-z-]*)[ :_./-]*|/?)(?P<number>[0-9]{1,6})(?![\w.-])", re.I
)
_IN_LINK = re.compile(r"/dandisets?/(?P<number>[0-9]{1,6})(?![\w.-])", re.I)
is_uuid = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
"""Whether a text is the id of an asset, a blob or a Zarr, in lower case."""


def check_dandiset(text: str, found: str) -> str:
    """The id of a Dandiset; raises UsageError if it is none."""
    if not is_dandiset_id(found):
        raise wrong_name(text, f"{found} is not the id of a Dandiset, which has six digits")
    return found


class WrongVersion(UsageError):
    """What stands in the place of a version has not the form of one; who knows the Dandiset can say which there are."""

    def __init__(self, text: str, dandiset: str, version: str) -> None:
        wrong = f"{version} is not a version" if version else "there is no version behind the @"
        super().__init__(f"{_shown(text)}: {wrong}: {_A_VERSION}")
        self.dandiset = dandiset
        self.version = version


def check_version(text: str, found: str | None, dandiset: str | None = None) -> str | None:
    """The name of a version, ``draft`` in lower case; raises WrongVersion if it is none."""
    if found is None:
        return None
    if found.lower() == DRAFT:
        return DRAFT
    if not is_version_id(found):
        raise WrongVersion(text, dandiset or "", found)
    return found


def no_version(dandiset: str, version: str, where: object, there: Iterable[str]) -> str:
    """The message that a Dandiset has no such version ``where`` somebody looked; ``there`` are those, oldest first."""
    names = list(there)[::-1]
    near = get_close_matches(version, names, NEAREST) or [
        name for name in names if version and name.startswith(version)
    ]
    shown = [f"{dandiset}@{name}" for name in (near or names)[:NEAREST]]
    more = ", …" if not near and len(names) > NEAREST else ""
    hint = f"did you mean {' or '.join(shown)}?" if near else f"it has {', '.join(shown) or 'no version yet'}{more}"
    return f"{dandiset}@{version[:SHOWN]} is not in {where}; {hint}"


def check_uuid(text: str, found: str | None) -> str | None:
    """An id in lower case; raises UsageError if it is none."""
    if found is not None and not is_uuid(found.lower()):
        raise wrong_name(text, f"{found[:SHOWN]} is not the id of an asset, a blob or a Zarr")
    return found and found.lower()


def wrong_name(text: str, why: str) -> UsageError:
    """The error for a name, with the closest correct one."""
    return UsageError(f"{_shown(text)}: {why}; {_closest(text) or _placed(text) or FORMS}")


def _closest(text: str) -> str:
    """What somebody may have meant, if the text begins as a name does, or a link names a Dandiset; else empty."""
    is_link = "://" in text and not text.lower().startswith("dandi://")
    said = re.sub(r"^dandi://[^/]*:[0-9]+", "", text)
    found = _IN_LINK.search(said) if is_link else _NUMBER.match(said)
    if not found:
        return ""
    word = "" if is_link else (found["word"] or "").lower().strip("-")
    near = get_close_matches(word, KNOWN, 1) if word and word not in {"dandiset", "dandisets"} else []
    if word and not near and word not in {"dandiset", "dandisets"}:
        return ""
    version = re.search(r"(?<![0-9.])0\.[0-9]{6}\.[0-9]{4}(?![0-9.])", said)
    hint = f"an id has six digits: did you mean {near[0].upper() + ':' if near else ''}{found['number']:0>6}"
    return hint + (f"{'/' if near else '@'}{version[0]}?" if version else "?")


def _placed(text: str) -> str:
    """How to name a version or a file, if the text may be one without its Dandiset; else empty."""
    shown = ascii(text[:SHOWN].lstrip("./"))[1:-1]
    if is_version_id(text):
        return f"a version stands behind the id of its Dandiset: ID@{shown}"
    if "://" in text or not re.search(r"[/._-]", text) or re.match(r"doi:|10\.", text, re.I):
        return ""
    return f"outside of a clone, a file is named by the id of its Dandiset and its path: ID/{shown}"


def _shown(text: str) -> str:
    return ascii(text if len(text) <= SHOWN else text[:SHOWN] + "…")
