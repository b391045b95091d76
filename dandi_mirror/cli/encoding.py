"""File names are UTF-8, whatever the locale says; and no letter of a name ends a command because it cannot be shown."""

from __future__ import annotations

import io
import os
import sys


def use_utf8() -> None:
    """Start this process again in Python's UTF-8 mode if names would be encoded otherwise; output escapes the rest.

    git, git-annex and the archive write names in UTF-8.  A locale such as ``de_DE.ISO-8859-1`` has no letters for most
    of them, and the terminal's encoding may not, either.
    """
    if sys.getfilesystemencoding() != "utf-8" and os.environ.get("PYTHONUTF8") != "1":
        os.execve(sys.executable, sys.orig_argv, os.environ | {"PYTHONUTF8": "1"})
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
