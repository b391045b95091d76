"""Who may see what is under embargo: who sends one of the tokens that the mirror's owner has given to the server."""

from __future__ import annotations

import base64
import hmac
import os
import re
import stat
from contextvars import ContextVar
from pathlib import Path

from starlette.requests import Request

from dandi_mirror.errors import UsageError
from dandi_mirror.files.opening import open_regular, read_at_most
from dandi_mirror.text import quoted

LONGEST = 1 << 16
"""Bytes of a file of tokens."""
_TOKEN = re.compile(r"[A-Za-z0-9_.~+/=-]{20,200}")
_sees_closed: ContextVar[bool] = ContextVar("sees_closed", default=False)


def sees_closed() -> bool:
    """Whether who has sent the request that is being answered may see what is under embargo."""
    return _sees_closed.get()


class Tokens:
    """The tokens of a server; without any, nobody sees what is under embargo."""

    def __init__(self, tokens: frozenset[str] = frozenset()) -> None:
        self._tokens = [token.encode() for token in tokens]

    def note(self, request: Request) -> None:
        """Note for the rest of a request what its sender may see."""
        sent = _sent(request.headers.get("authorization", ""))
        _sees_closed.set(any(hmac.compare_digest(sent, token) for token in self._tokens))


def read_tokens(path: Path) -> Tokens:
    """The tokens in a file: one a line; lines that begin with # do not count.

    Raises:
        UsageError: the file cannot be read, others may read it, or a line is no token.
    """
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = read_at_most(file, LONGEST).decode()
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: the tokens cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UsageError(f"{path}: other users of this machine may read these tokens; type: chmod 600 {quoted(path)}")
    tokens = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not tokens or not all(_TOKEN.fullmatch(token) for token in tokens):
        raise UsageError(f"{path}: write one token a line, of 20 letters and digits at least: openssl rand -hex 20")
    return Tokens(frozenset(tokens))


def _sent(header: str) -> bytes:
    """The token in a header: as DANDI's clients send it, as Bearer, or as the password of a person."""
    kind, _, value = header.strip().partition(" ")
    if kind.lower() in {"token", "bearer"}:
        return value.strip().encode()
    if kind.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).partition(b":")[2]
        except ValueError:
            return b""
    return b""
