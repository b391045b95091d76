"""An API key, and where a test keeps it."""

from __future__ import annotations

import sys

import pytest

from dandi_mirror.archive import credentials
from dandi_mirror.archive.instances import token_variable
from dandi_mirror.embedded import Server
from tests.conftest import run

TOKEN = "0123456789abcdef0123456789abcdef01234567"
PLAIN = "keyrings.alt.file.PlaintextKeyring"


def choose(monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", backend)


def keep_in_plain_file(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    choose(monkeypatch, PLAIN)
    run(sys.executable, "-m", "keyring", "set", credentials.service_name(server.api_url), "key", stdin=TOKEN)


def variable(server: Server) -> str:
    return token_variable(server.api_url)


def with_token(server: Server) -> list[str]:
    """The paths that were asked for with a token."""
    return [request.path for request in server.requests if "authorization" in request.headers]
