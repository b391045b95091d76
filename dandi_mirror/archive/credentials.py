"""The token for an archive: from its environment variable, or from the keyring.  The only door to keyring.

Variable and entry of the keyring are those of the dandi client, so that both share them, as long as they stand for one
origin (scheme, host and port) alone: a key goes to the origin for which it was stored and nowhere else.

Without a terminal the keyring is asked in a process that has none, for a bounded time: it may want a password, or show
a dialogue that nobody sees.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dandi_mirror.archive.instances import instance_name, stock_name, token_variables
from dandi_mirror.errors import CredentialsError

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

USER = "key"
PATIENCE = 10.0
"""Seconds in which a keyring must answer where nobody sits at a terminal."""
_CONFIG = "[backend]\ndefault-keyring = keyrings.alt.file.EncryptedKeyring\n"


@dataclass(frozen=True, slots=True)
class Token:
    """A token and where it was found."""

    value: str = field(repr=False)
    source: str
    """The variable's name, or ``keyring (BACKEND)``."""


class KeyringTrouble(CredentialsError):
    """The keyring could not be asked, or does not keep anything; the message is the reason alone."""


def service_name(instance: str) -> str:
    """The service under which the token stands in the keyring."""
    return f"dandi-api-{stock_name(instance) or instance_name(instance)}"


def well_formed(value: str) -> bool:
    """Whether this may be a token at all: it becomes a header."""
    return value.isascii() and value.isalnum()


def from_variable(instance: str) -> Token | None:
    """The token in the first of the instance's environment variables that is set; None when they are unset or empty.

    Raises:
        CredentialsError: it is set to something that is no token.
    """
    found = {name: value for name in token_variables(instance) if (value := os.environ.get(name, "").strip())}
    name, value = next(iter(found.items()), ("", ""))
    if value and not well_formed(value):
        raise CredentialsError(f"{name} does not hold a token (letters and digits); unset it for public data")
    return Token(value, name) if value else None


def from_keyring(instance: str, *, terminal: bool) -> Token | None:
    """The token in the keyring, None if it has none; on a ``terminal`` it may ask for its own password.

    Raises:
        KeyringTrouble: the keyring could not be asked, or what it has is no token.
    """
    service = service_name(instance)
    value, backend = _read(service) if terminal else _apart("read", service)
    if value is None:
        return None
    if not well_formed(value.strip()):
        raise KeyringTrouble(f"what {backend} has for {service} is no token (letters and digits)")
    return Token(value.strip(), f"keyring ({backend})")


def store(instance: str, value: str, agree: Callable[[str], bool]) -> str:
    """Put a token into the keyring; the backend that keeps it.  Only on a terminal.

    A backend that somebody has configured is taken, or fails.  Where the system has none that works, ``agree`` is
    asked about an encrypted file, which then becomes the default.

    Raises:
        KeyringTrouble: none keeps it, or ``agree`` says no.
    """
    service, why = service_name(instance), "the system has none"
    with _reasons(value):
        configured = _configured()
        if configured:
            return _keep(configured, service, value)
        best = _best()
    if not all(type(member).__module__.startswith("keyrings.alt.") for member in _members(best)):
        try:
            with _reasons(value):
                return _keep(best, service, value)
        except KeyringTrouble as error:
            why = str(error)
    with _reasons(value):
        file = _encrypted_file()
    if not agree(f"No keyring works here ({why}). Keep the token in an encrypted file, as your default keyring?"):
        raise KeyringTrouble("none works here but an encrypted file, which was not wanted")
    with _reasons(value):
        kept = _keep(file, service, value)
        _make_default()
    return kept


def forget(instance: str, *, terminal: bool) -> bool:
    """Take a token out of the keyring; whether one was there.

    Raises:
        KeyringTrouble: the keyring could not be asked.
    """
    service = service_name(instance)
    return _delete(service) if terminal else _apart("delete", service)[0] is not None


def backend_name() -> str:
    """The backend that would be asked; no secret is looked at.

    Raises:
        KeyringTrouble: what is configured cannot be used.
    """
    return _apart("name", "")[1]


# --- in this process ----------------------------------------------------------------------------------------


@contextmanager
def _reasons(secret: str = "") -> Iterator[None]:
    """Let what a backend raises be a :class:`KeyringTrouble` in one line, without the secret."""
    try:
        yield
    except KeyringTrouble:
        raise
    except Exception as error:
        said = " ".join(str(error).split())[:200]
        if secret:
            said = said.replace(secret, "…")
        # not chained: a traceback would show the backend's own words
        raise KeyringTrouble(f"{type(error).__name__}: {said}" if said else type(error).__name__) from None


def _read(service: str) -> tuple[str | None, str]:
    """The secret, if there is one, and the backend that was asked."""
    backends, reason = _backends(), ""
    while True:
        try:
            with _reasons():
                backend = next(backends, None)
                if backend is None:
                    break
                return backend.get_password(service, USER), _named(backend)
        except KeyringTrouble as error:
            reason = reason or str(error)
    raise KeyringTrouble(reason)


def _delete(service: str) -> bool:
    from keyring.errors import PasswordDeleteError

    found = False
    with _reasons():
        for backend in _backends():
            # a chain stops at the first member that has none
            for member in _members(backend):
                with suppress(PasswordDeleteError, NotImplementedError):
                    member.delete_password(service, USER)
                    found = found or not _keeps_nothing(member)
    return found


def _keep(backend: KeyringBackend, service: str, value: str) -> str:
    backend.set_password(service, USER, value)
    if backend.get_password(service, USER) != value:
        raise KeyringTrouble(f"{_named(backend)} keeps nothing")
    return _named(backend)


def _backends() -> Iterator[KeyringBackend]:
    """Whom to ask, one after the other as each fails: what is configured; else the system's, and an encrypted file."""
    if configured := _configured():
        yield configured
        return
    yield _best()
    file = _encrypted_file()
    if os.path.exists(file.file_path):  # type: ignore[attr-defined]  # noqa: PTH110
        yield file


def _configured() -> KeyringBackend | None:
    from keyring.core import load_config, load_env

    return load_env() or load_config()


def _best() -> KeyringBackend:
    from keyring import get_keyring

    return get_keyring()


def _encrypted_file() -> KeyringBackend:
    from keyring.core import load_keyring

    return load_keyring("keyrings.alt.file.EncryptedKeyring")


def _members(backend: KeyringBackend) -> list[KeyringBackend]:
    """Those of a chain, or the backend itself."""
    members: list[KeyringBackend] = getattr(backend, "backends", [])
    return members or [backend]


def _keeps_nothing(backend: KeyringBackend) -> bool:
    return type(backend).__module__ == "keyring.backends.null"


def _named(backend: KeyringBackend) -> str:
    return f"{type(backend).__module__}.{type(backend).__name__}"


def _make_default() -> None:
    """Write keyring's own settings, unless there are some."""
    from pathlib import Path

    from keyring.util.platform_ import config_root

    path = Path(config_root(), "keyringrc.cfg")
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError), path.open("x") as file:
        file.write(_CONFIG)


# --- in a process of its own --------------------------------------------------------------------------------


def _apart(verb: str, service: str) -> tuple[str | None, str]:
    """Do it in a process without a terminal; the secret comes back through a pipe.

    Raises:
        KeyringTrouble: as it was there, or no answer in time.
    """
    # -P: not even from the folder that this was started in may a module come
    command = [sys.executable, "-P", "-m", __name__, verb, service]
    try:
        done = subprocess.run(
            command, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            start_new_session=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        answer = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        raise KeyringTrouble(f"it did not answer in {PATIENCE:.0f} seconds; it may be locked") from None
    except (OSError, ValueError, IndexError):
        raise KeyringTrouble("it could not be asked") from None
    if reason := answer.get("reason"):
        raise KeyringTrouble(reason)
    return answer["value"], answer["backend"]


def _answer(verb: str, service: str) -> dict[str, str | None]:
    try:
        if verb == "delete":
            return {"value": "" if _delete(service) else None, "backend": ""}
        if verb == "name":
            with _reasons():
                return {"value": None, "backend": _named(_configured() or _best())}
        value, backend = _read(service)
        return {"value": value, "backend": backend}
    except KeyringTrouble as error:
        wants = str(error).startswith("EOFError")
        return {"reason": "it wants its password, and there is no terminal" if wants else str(error)}


if __name__ == "__main__":
    print(json.dumps(_answer(*sys.argv[1:])))
