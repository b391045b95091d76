"""Values as scripts that pages load: a page that is opened as a file may load scripts, and nothing else."""

from __future__ import annotations

import re
from hashlib import sha256

import orjson

from dandi_mirror.paths import is_visible

_SPECIAL = re.compile(r"[<>&\x7f]|[^\x00-\x7f]")


def json_text(value: object) -> str:
    """JSON that may stand within a page and in a script: nothing in it ends an element, and all of it is visible."""
    return _SPECIAL.sub(_escaped, orjson.dumps(value).decode())


def _escaped(found: re.Match[str]) -> str:
    letter = found[0]
    if letter > "\x7f" and is_visible(letter):
        return letter
    code = ord(letter)
    pair = code - 0x10000
    return f"\\u{code:04x}" if pair < 0 else f"\\u{0xD800 + (pair >> 10):04x}\\u{0xDC00 + (pair & 0x3FF):04x}"


def data_script(name: str, value: object) -> bytes:
    """A script that hands a value to the page that has asked for it by name."""
    return f"catalogue.data({json_text(name)}, {json_text(value)});\n".encode()


def digest_of(content: bytes) -> str:
    """What tells a content from others; a part of file names."""
    return sha256(content).hexdigest()[:12]


def hashed_name(stem: str, content: bytes) -> str:
    """A file name that changes with the content: a page never loads a part that belongs to another state of it."""
    return f"{stem}-{digest_of(content)}.js"
