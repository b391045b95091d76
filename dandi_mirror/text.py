"""Text for people: sizes and counts, and what others wrote, made safe for a terminal and a log."""

from __future__ import annotations

import re

from dandi_mirror.paths import is_visible

_QUERY = re.compile(r"""(https?://[^\s?'"]*)\?[^\s'"]*""")


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


def printable(text: str) -> str:
    """Text of others as it may stand on a terminal: letters that are not seen, or move others, are escaped."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(letter if is_visible(letter) else ascii(letter)[1:-1] for letter in text)


def plain(text: str) -> str:
    """One line that may stand on a terminal and in a report: escaped as needed, URLs without their query."""
    return printable(_QUERY.sub(r"\1?…", text))
