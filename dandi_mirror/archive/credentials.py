"""The token for an archive, from its environment variable or from the keyring.

The variable and the keyring entry are those of the DANDI client, so that both programs share them, unless more than one
origin (scheme, host and port) could use them: a token goes to the origin for which it was stored and nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dandi_mirror.archive import keyrings
from dandi_mirror.archive.instances import instance_name, stock_name, token_variables
from dandi_mirror.archive.keyrings import KeyringTrouble, Tell, WrongPassword
from dandi_mirror.errors import CredentialsError

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, slots=True)
class Token:
    """A token and its source."""

    value: str = field(repr=False)
    source: str
    """The name of the variable, or ``keyring (BACKEND)``."""


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
    value, backend = keyrings.read(service, tell) if terminal else keyrings.in_subprocess("read", service)
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
    with keyrings.keyring_errors(value):
        configured = keyrings.configured()
        if configured:
            return keyrings.keep(configured, service, value, tell)
        best = keyrings.best()
    if not all(type(member).__module__.startswith("keyrings.alt.") for member in keyrings.members(best)):
        try:
            with keyrings.keyring_errors(value):
                return keyrings.keep(best, service, value, tell)
        except WrongPassword:
            raise
        except KeyringTrouble as error:
            why = str(error)
    with keyrings.keyring_errors(value):
        file = keyrings.encrypted_file()
    if not agree(f"No keyring works here ({why}). Keep the key in an encrypted file, as your default keyring?"):
        raise KeyringTrouble("no keyring works here, and you declined the encrypted file")
    with keyrings.keyring_errors(value):
        kept = keyrings.keep(file, service, value, tell)
        keyrings.make_default()
    return kept


def forget(instance: str, *, terminal: bool, tell: Tell | None = None) -> bool:
    """Take a token out of the keyring; whether one was there.

    Raises:
        KeyringTrouble: the keyring does not answer.
    """
    service = service_name(instance)
    return keyrings.delete(service, tell) if terminal else keyrings.in_subprocess("delete", service)[0] is not None


def backend_name() -> str:
    """The name of the backend in use; reads no secret.

    Raises:
        KeyringTrouble: the configured backend does not work.
    """
    return keyrings.in_subprocess("name", "")[1]
