"""The system's keyrings, by the package keyring: read, store and delete one secret; only this module imports keyring.

Without a terminal, a subprocess reads the keyring, with a time limit, because the keyring may want a password or show
a dialogue that nobody sees.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from dandi_mirror.errors import CredentialsError

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

Tell = Callable[[str], None]

USER = "key"
KEYRING_TIMEOUT = 10.0
"""Seconds in which a keyring must answer if there is no terminal."""
TRIES = 3
"""How many passwords for a keyring a person may type."""
_NOT_TYPED = "its password was not typed"
_WRONG = "Incorrect Password"
"""What keyrings.alt raises, as a ValueError."""
_CONFIG = "[backend]\ndefault-keyring = keyrings.alt.file.EncryptedKeyring\n"


class KeyringTrouble(CredentialsError):
    """The keyring does not answer or does not store anything; the message is the reason alone."""


class WrongPassword(KeyringTrouble):
    """The person typed a wrong password for the keyring."""


# --- in this process ----------------------------------------------------------------------------------------


@contextmanager
def keyring_errors(secret: str = "") -> Iterator[None]:
    """Turn a backend's exceptions into a :class:`KeyringTrouble` of one line, without the secret."""
    try:
        yield
    except KeyringTrouble:
        raise
    except Exception as error:
        said = _NOT_TYPED if isinstance(error, EOFError) else " ".join(str(error).split())[:200]
        if secret:
            said = said.replace(secret, "…")
        # not chained: a traceback would show the backend's own words
        raise KeyringTrouble(said or "it failed without saying why") from None


def _patient(backend: KeyringBackend, tell: Tell | None) -> KeyringBackend:
    """Let an encrypted file, whose password the person types wrong, ask again and say why.

    keyrings.alt would ask a second time without a word.
    """
    for member in members(backend):
        if tell and (unlock := getattr(member, "_unlock", None)):
            member._unlock = partial(_unlock, unlock, tell)  # type: ignore[attr-defined]
    return backend


def _unlock(unlock: Callable[[], None], tell: Tell) -> None:
    """Ask for the password until it is right.

    Raises:
        WrongPassword: it was wrong too often.
    """
    for left in reversed(range(TRIES)):
        try:
            return unlock()
        except ValueError as error:
            if str(error) != _WRONG:
                raise
        if left:
            tell("that is not the password of the keyring; type it again, or press Ctrl-C")
    raise WrongPassword(f"its password was wrong {TRIES} times")


def read(service: str, tell: Tell | None = None) -> tuple[str | None, str]:
    """The secret, if there is one, and the backend that was asked."""
    backends, reason = _backends(), ""
    while True:
        try:
            with keyring_errors():
                backend = next(backends, None)
                if backend is None:
                    break
                return _patient(backend, tell).get_password(service, USER), named(backend)
        except WrongPassword:
            raise
        except KeyringTrouble as error:
            reason = reason or str(error)
    raise KeyringTrouble(reason)


def delete(service: str, tell: Tell | None = None) -> bool:
    """Delete the secret from every backend; whether one had it."""
    from keyring.errors import PasswordDeleteError

    found = False
    with keyring_errors():
        for backend in _backends():
            # a chain stops at the first member without an entry
            for member in members(backend):
                with suppress(PasswordDeleteError, NotImplementedError):
                    _patient(member, tell).delete_password(service, USER)
                    found = found or not _keeps_nothing(member)
    return found


def keep(backend: KeyringBackend, service: str, value: str, tell: Tell | None) -> str:
    """Store a secret in a backend, and see that it is there; the backend's name."""
    _patient(backend, tell).set_password(service, USER, value)
    if backend.get_password(service, USER) != value:
        raise KeyringTrouble(f"{named(backend)} does not store anything")
    return named(backend)


def _backends() -> Iterator[KeyringBackend]:
    """The backends to try in order: the configured one; without one, the system's, then an encrypted file."""
    if chosen := configured():
        yield chosen
        return
    yield best()
    file = encrypted_file()
    if os.path.exists(file.file_path):  # type: ignore[attr-defined]  # noqa: PTH110
        yield file


def configured() -> KeyringBackend | None:
    """The backend that the environment or keyring's settings name; None for none."""
    from keyring.core import load_config, load_env

    return load_env() or load_config()


def best() -> KeyringBackend:
    """The backend that keyring chooses on this system."""
    from keyring import get_keyring

    return get_keyring()


def encrypted_file() -> KeyringBackend:
    """The backend that keeps secrets in an encrypted file."""
    from keyring.core import load_keyring

    return load_keyring("keyrings.alt.file.EncryptedKeyring")


def members(backend: KeyringBackend) -> list[KeyringBackend]:
    """The members of a chain of backends, or the backend itself."""
    members: list[KeyringBackend] = getattr(backend, "backends", [])
    return members or [backend]


def _keeps_nothing(backend: KeyringBackend) -> bool:
    return type(backend).__module__ == "keyring.backends.null"


def named(backend: KeyringBackend) -> str:
    """The name of a backend, as messages have it."""
    return f"{type(backend).__module__}.{type(backend).__name__}"


def make_default() -> None:
    """Write keyring's own settings file, unless it exists."""
    from pathlib import Path

    from keyring.util.platform_ import config_root

    path = Path(config_root(), "keyringrc.cfg")
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError), path.open("x") as file:
        file.write(_CONFIG)


# --- in a process of its own --------------------------------------------------------------------------------


def in_subprocess(verb: str, service: str) -> tuple[str | None, str]:
    """Use the keyring in a subprocess without a terminal, which returns the secret through a pipe.

    Raises:
        KeyringTrouble: the keyring failed there, or did not answer in time.
    """
    # -P: import no module from the current folder
    command = [sys.executable, "-P", "-m", __name__, verb, service]
    try:
        done = subprocess.run(
            command, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            start_new_session=True, timeout=KEYRING_TIMEOUT, check=False,
        )  # fmt: skip
        answer = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        raise KeyringTrouble(f"it did not answer in {KEYRING_TIMEOUT:.0f} seconds; it may be locked") from None
    except (OSError, ValueError, IndexError):
        raise KeyringTrouble("it does not work") from None
    if reason := answer.get("reason"):
        raise KeyringTrouble(reason)
    return answer["value"], answer["backend"]


def _answer(verb: str, service: str) -> dict[str, str | None]:
    try:
        if verb == "delete":
            return {"value": "" if delete(service) else None, "backend": ""}
        if verb == "name":
            with keyring_errors():
                return {"value": None, "backend": named(configured() or best())}
        value, backend = read(service)
        return {"value": value, "backend": backend}
    except KeyringTrouble as error:
        wants = str(error) == _NOT_TYPED
        return {"reason": "it asks for its password, and there is no terminal" if wants else str(error)}


if __name__ == "__main__":
    print(json.dumps(_answer(*sys.argv[1:])))
