"""Text for people: sizes and counts, and other people's text made safe for a terminal and a log."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence

from dandi_mirror.paths import is_visible

_USER = re.compile(r"""(https?://)(?!NAME:PASSWORD@)[^\s/?'"@]*@""")
_QUERY = re.compile(r"""(https?://[^\s?'"]*)\?[^\s'"]*""")
_SIGNED = re.compile(r"""\?(?=[^\s'"]*(?:X-Amz-|Signature=|AWSAccessKeyId=))[^\s'"]*""", re.IGNORECASE)


def human_size(size: int) -> str:
    """``6.2 GB``."""
    amount = float(size)
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if amount < 1000 or unit == "TB":
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000
    raise AssertionError("the last unit takes any amount")


def counted(count: int, noun: str) -> str:
    """``1 file``, ``1,200 files``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def some(names: Sequence[str], most: int = 5) -> str:
    """The first ``most`` names, and how many more there are: ``a, b and 3 more``."""
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def closest(word: str, words: Iterable[str], cutoff: float = 0.6) -> str:
    """The word that a mistyped one probably stands for, capitals or not; empty if none is similar."""
    from difflib import get_close_matches

    known = {each.lower(): each for each in words}
    near = get_close_matches(word.lower(), known, 1, cutoff)
    return known[near[0]] if near else ""


def how_to_install(extra: str) -> str:
    """What to type for an extra of this project, as ``docs/install.md`` says."""
    return f"type in the clone of dandi-mirror: pip install '.[{extra}]'"


def printable(text: str) -> str:
    """Text that is safe on a terminal: characters that are invisible, or move other characters, are escaped."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(letter if is_visible(letter) else ascii(letter)[1:-1] for letter in text)


def redacted(text: str) -> str:
    """Text without the secrets that its URLs may hold: user names, passwords and queries, which may be signed."""
    return _SIGNED.sub("?…", _QUERY.sub(r"\1?…", _USER.sub(r"\1", text)))


def plain(text: str) -> str:
    """One line for a terminal or a report: redacted, and escaped as needed."""
    return printable(redacted(text))


def quoted(place: object) -> str:
    """A path, or a name with one, as a person types it in a shell."""
    return shlex.quote(str(place))


def beginning(text: str, most: int = 70) -> str:
    """A text that is shown in a line with others: its beginning, with a sign that there is more."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def end_of(text: str, most: int) -> str:
    """The end of a program's long message, from the beginning of a word, with a sign that there is more."""
    return text if len(text) <= most else f"… {text[-most:].partition(' ')[2]}"
