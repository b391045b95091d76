"""Where a command gets its token from: the variable, the keyring, or who sits at the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

import click

from dandi_mirror.errors import CredentialsError

if TYPE_CHECKING:
    from dandi_mirror.archive.api.client import Archive, ArchiveUser
    from dandi_mirror.archive.credentials import Token
    from dandi_mirror.archive.http.session import Session
    from dandi_mirror.config import Settings

Answer = TypeVar("Answer")

TRIES = 3
"""So many keys may be typed."""


def session(settings: Settings, token: Token | None, at_once: int | None = None) -> Session:
    """Connections to the archive of the settings; its content may also be at the hosts that they name."""
    from dandi_mirror.addresses import Allowed
    from dandi_mirror.archive.http.pool import AT_ONCE
    from dandi_mirror.archive.http.session import Session
    from dandi_mirror.archive.instances import api_url

    url = api_url(settings.instance)
    allowed = Allowed.named(url, frozenset(settings.content_hosts))
    return Session(url, token, at_once=at_once or AT_ONCE, allowed=allowed)


def given(instance: str) -> Token | None:
    """The token in the environment, for a command that may do without one; the keyring is not touched."""
    from dandi_mirror.archive.credentials import from_variable

    return from_variable(instance)


def stored(instance: str) -> Token | None:
    """The token in the environment, else in the keyring if that gives it without a question; for who may do without."""
    token, _ = find(instance, terminal=False)
    return token


def asked(instance: str, said: str | None, look: Callable[[Archive], Answer]) -> Answer:
    """What ``look`` sees in an archive, which a name says is called ``said``.

    The keyring is opened when the archive refuses something to those without a token.

    Raises:
        CredentialsError: it is refused, and there is no token for it; and what ``look`` raises.
    """
    token = given(instance)
    try:
        return _asked(instance, token, said, look)
    except CredentialsError:
        if token:
            raise
    found, trouble = find(instance, terminal=False)
    if not found:
        raise nothing(instance, trouble, "it is under embargo, and there is no API key")
    return _asked(instance, found, said, look)


def _asked(instance: str, token: Token | None, said: str | None, look: Callable[[Archive], Answer]) -> Answer:
    from dandi_mirror.archive.api.client import Archive
    from dandi_mirror.archive.http.session import Session
    from dandi_mirror.archive.instances import api_url, check_called

    with closing(Session(api_url(instance), token)) as session:
        archive = Archive(session)
        check_called(said, archive.instance)
        return look(archive)


def needed(instance: str) -> Token:
    """The token in the environment, else in the keyring, else as it is typed: then it is verified and kept.

    Raises:
        CredentialsError: there is none, and no terminal to ask at.
    """
    token, trouble = find(instance, terminal=on_terminal())
    if token:
        return token
    if not on_terminal():
        raise nothing(instance, trouble)
    from dandi_mirror.archive.credentials import Token

    value, user = ask(instance)
    try:
        click.echo(f"hello {shown(user)}; the key is kept in {keep(instance, value)}", err=True)
    except CredentialsError as error:
        # it will be asked for again, but now it is here
        click.echo(str(error), err=True)
    return Token(value, "what you typed")


def find(instance: str, *, terminal: bool) -> tuple[Token | None, str]:
    """The token in the environment, else in the keyring; and why the keyring could not be asked.

    On a ``terminal`` the keyring may ask for its own password.
    """
    from dandi_mirror.archive.credentials import KeyringTrouble, from_keyring, from_variable

    try:
        return from_variable(instance) or from_keyring(instance, terminal=terminal), ""
    except KeyringTrouble as error:
        return None, str(error)


def on_terminal() -> bool:
    """Whether there is somebody to be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def nothing(instance: str, trouble: str = "", what: str = "") -> CredentialsError:
    """That there is no token, or ``what`` else is missing; names both ways to give one."""
    from dandi_mirror.archive.instances import instance_name, token_variable

    what = what or f"no API key for {instance_name(instance)}"
    why = f" (the keyring: {trouble})" if trouble else ""
    return CredentialsError(
        f"{what}{why}; put it into {token_variable(instance)}, "
        f"or type it once on a terminal: dandi-mirror login -i {instance}"
    )


def ask(instance: str) -> tuple[str, ArchiveUser]:
    """A token as it is typed, not shown, and whose it is.

    Raises:
        CredentialsError: the archive knows none of those that were typed.
    """
    from dandi_mirror.archive.credentials import well_formed
    from dandi_mirror.archive.instances import instance_name

    name = instance_name(instance)
    for _ in range(TRIES):
        value = click.prompt(f"API key for {name}", hide_input=True, err=True).strip()
        if not well_formed(value):
            click.echo("An API key has letters and digits only; copy it from the archive's web page.", err=True)
            continue
        try:
            return value, who(instance, value)
        except CredentialsError:
            click.echo(f"{name} does not know this key; copy it from the archive's web page.", err=True)
    raise CredentialsError(f"{TRIES} keys that {name} does not know; nothing was kept")


def who(instance: str, value: str | Token) -> ArchiveUser:
    """Who the archive takes a token for."""
    from dandi_mirror.archive.api.client import whoami
    from dandi_mirror.archive.http.session import Session
    from dandi_mirror.archive.instances import api_url

    with closing(Session(api_url(instance), value)) as session:
        return whoami(session)


def keep(instance: str, value: str) -> str:
    """Keep a token in the keyring; the backend that has it now.

    Raises:
        CredentialsError: none keeps it.
    """
    from dandi_mirror.archive.credentials import KeyringTrouble, store
    from dandi_mirror.archive.instances import token_variable

    try:
        return store(instance, value, lambda question: click.confirm(question, default=True, err=True))
    except KeyringTrouble as error:
        raise CredentialsError(
            f"the key is good, but it was not kept (the keyring: {error}); put it into {token_variable(instance)}"
        ) from None


def shown(user: ArchiveUser) -> str:
    """A person as they may stand on a terminal."""
    from dandi_mirror.text import printable

    return printable(f"{user.name} ({user.username})" if user.name else user.username)
