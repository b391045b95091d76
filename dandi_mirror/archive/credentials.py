"""The token for an archive, from its environment variable or from the keyring; only this module imports keyring.

The variable and the keyring entry are those of the DANDI client, so that both programs share them, unless more than one
origin (scheme, host and port) could use them: a token goes to the origin for which it was stored and nowhere else.

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
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from dandi_mirror.archive.instances import instance_name, stock_name, token_variables
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


@dataclass(frozen=True, slots=True)
class Token:
    """A token and its source."""

    value: str = field(repr=False)
    source: str
    """The name of the variable, or ``keyring (BACKEND)``."""


class KeyringTrouble(CredentialsError):
    """The keyring does not answer or does not store anything; the message is the reason alone."""


class WrongPassword(KeyringTrouble):
    """The person typed a wrong password for the keyring."""


def service_name(instance: str) -> str:
    """The service name of the token's entry in the keyring."""
    return f"dandi-api-{stock_name(instance) or instance_name(instance)}"


def well_formed(value: str) -> bool:
    """Whether a value has the form of a token, so that it is safe in a header."""
    return value.isascii() and value.isalnum()


def from_variable(instance: str) -> Token | None:
    """The token in the first environment variable of the archive that is set; None if all are unset or empty.

    Raises:
        CredentialsError: its value is not a token.
    """
    found = {name: value for name in token_variables(instance) if (value := os.environ.get(name, "").strip())}
    name, value = next(iter(found.items()), ("", ""))
    if value and not well_formed(value):
        raise CredentialsError(f"{name} does not hold a token (letters and digits); unset it for public data")
    return Token(value, name) if value else None


def from_keyring(instance: str, *, terminal: bool, tell: Tell | None = None) -> Token | None:
    """The token in the keyring, None if it has none; on a ``terminal`` it may ask for its own password.

    ``tell`` tells the person that the password was wrong; the keyring then asks again.

    Raises:
        KeyringTrouble: the keyring does not answer, or its entry is not a token.
    """
    service = service_name(instance)
    value, backend = _read(service, tell) if terminal else _in_subprocess("read", service)
    if value is None:
        return None
    if not well_formed(value.strip()):
        raise KeyringTrouble(f"the entry for {service} in {backend} is not a token (letters and digits)")
    return Token(value.strip(), f"keyring ({backend})")


def store(instance: str, value: str, agree: Callable[[str], bool], tell: Tell | None = None) -> str:
    """Put a token into the keyring; the backend that keeps it.  Only on a terminal.

    Uses the configured backend, if there is one.  If the system has no backend that works, asks ``agree`` whether to
    use an encrypted file, which then becomes the default.

    Raises:
        KeyringTrouble: no backend stores it, or ``agree`` says no.
    """
    service, why = service_name(instance), "the system has none"
    with _keyring_errors(value):
        configured = _configured()
        if configured:
            return _keep(configured, service, value, tell)
        best = _best()
    if not all(type(member).__module__.startswith("keyrings.alt.") for member in _members(best)):
        try:
            with _keyring_errors(value):
                return _keep(best, service, value, tell)
        except WrongPassword:
            raise
        except KeyringTrouble as error:
            why = str(error)
    with _keyring_errors(value):
        file = _encrypted_file()
    if not agree(f"No keyring works here ({why}). Keep the token in an encrypted file, as your default keyring?"):
        raise KeyringTrouble("no keyring works here, and you declined the encrypted file")
    with _keyring_errors(value):
        kept = _keep(file, service, value, tell)
        _make_default()
    return kept


def forget(instance: str, *, terminal: bool, tell: Tell | None = None) -> bool:
    """Take a token out of the keyring; whether one was there.

    Raises:
        KeyringTrouble: the keyring does not answer.
    """
    service = service_name(instance)
    return _delete(service, tell) if terminal else _in_subprocess("delete", service)[0] is not None


def backend_name() -> str:
    """The name of the backend in use; reads no secret.

    Raises:
        KeyringTrouble: the configured backend does not work.
    """
    return _in_subprocess("name", "")[1]


# --- in this process ----------------------------------------------------------------------------------------


@contextmanager
def _keyring_errors(secret: str = "") -> Iterator[None]:
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
    for member in _members(backend):
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


def _read(service: str, tell: Tell | None = None) -> tuple[str | None, str]:
    """The secret, if there is one, and the backend that was asked."""
    backends, reason = _backends(), ""
    while True:
        try:
            with _keyring_errors():
                backend = next(backends, None)
                if backend is None:
                    break
                return _patient(backend, tell).get_password(service, USER), _named(backend)
        except WrongPassword:
            raise
        except KeyringTrouble as error:
            reason = reason or str(error)
    raise KeyringTrouble(reason)


def _delete(service: str, tell: Tell | None = None) -> bool:
    from keyring.errors import PasswordDeleteError

    found = False
    with _keyring_errors():
        for backend in _backends():
            # a chain stops at the first member without an entry
            for member in _members(backend):
                with suppress(PasswordDeleteError, NotImplementedError):
                    _patient(member, tell).delete_password(service, USER)
                    found = found or not _keeps_nothing(member)
    return found


def _keep(backend: KeyringBackend, service: str, value: str, tell: Tell | None) -> str:
    _patient(backend, tell).set_password(service, USER, value)
    if backend.get_password(service, USER) != value:
        raise KeyringTrouble(f"{_named(backend)} does not store anything")
    return _named(backend)


def _backends() -> Iterator[KeyringBackend]:
    """The backends to try in order: the configured one; without one, the system's, then an encrypted file."""
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
    """The members of a chain of backends, or the backend itself."""
    members: list[KeyringBackend] = getattr(backend, "backends", [])
    return members or [backend]


def _keeps_nothing(backend: KeyringBackend) -> bool:
    return type(backend).__module__ == "keyring.backends.null"


def _named(backend: KeyringBackend) -> str:
    return f"{type(backend).__module__}.{type(backend).__name__}"


def _make_default() -> None:
    """Write keyring's own settings file, unless it exists."""
    from pathlib import Path

    from keyring.util.platform_ import config_root

    path = Path(config_root(), "keyringrc.cfg")
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError), path.open("x") as file:
        file.write(_CONFIG)


# --- in a process of its own --------------------------------------------------------------------------------


def _in_subprocess(verb: str, service: str) -> tuple[str | None, str]:
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
            return {"value": "" if _delete(service) else None, "backend": ""}
        if verb == "name":
            with _keyring_errors():
                return {"value": None, "backend": _named(_configured() or _best())}
        value, backend = _read(service)
        return {"value": value, "backend": backend}
    except KeyringTrouble as error:
        wants = str(error) == _NOT_TYPED
        return {"reason": "it wants its password, and there is no terminal" if wants else str(error)}


if __name__ == "__main__":
    print(json.dumps(_answer(*sys.argv[1:])))
