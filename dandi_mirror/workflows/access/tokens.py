"""Where a command gets the API key from: the environment, the keyring, or the person at the terminal."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

from dandi_mirror.errors import CredentialsError
from dandi_mirror.workflows import terminal

if TYPE_CHECKING:
    from dandi_mirror.addresses import Allowed
    from dandi_mirror.archive.api.client import ArchiveClient, ArchiveUser
    from dandi_mirror.archive.content.sources import TransferSettings
    from dandi_mirror.archive.credentials import Token
    from dandi_mirror.archive.http.session import Session
    from dandi_mirror.config import Settings

Answer = TypeVar("Answer")

TRIES = 3
"""How many keys a person may type."""
NOT_KEPT = "no API key was kept"


def session(settings: Settings, token: Token | None, at_once: int | None = None) -> Session:
    """Open a session with the archive of the settings, whose ``content-hosts`` may hold content, too."""
    from dandi_mirror.addresses import Allowed
    from dandi_mirror.archive.http.pool import AT_ONCE
    from dandi_mirror.archive.http.session import Session
    from dandi_mirror.archive.instances import api_url

    url = api_url(settings.instance)
    allowed = Allowed.named(url, frozenset(settings.content_hosts))
    return Session(url, token, at_once=at_once or AT_ONCE, allowed=allowed)


def content_access(instance: str, allowed: Allowed) -> TransferSettings:
    """How to ask for content of an archive; the keyring is opened only if the API refuses something."""
    from dandi_mirror.archive.content.sources import TransferSettings
    from dandi_mirror.archive.instances import api_url

    def from_keyring() -> str | None:
        token = stored(instance)
        return token.value if token else None

    token = given(instance)
    return TransferSettings(api_url(instance), token.value if token else None, allowed, key=from_keyring)


def given(instance: str) -> Token | None:
    """The token in the environment, for a command that can do without one; leaves the keyring alone."""
    from dandi_mirror.archive.credentials import from_variable

    return from_variable(instance)


def stored(instance: str) -> Token | None:
    """The token in the environment, else in the keyring if that gives it without a question."""
    token, _ = find(instance, ask_password=False)
    return token


def asked(instance: str, said: str | None, look: Callable[[ArchiveClient], Answer]) -> Answer:
    """Call ``look`` with an archive, and open the keyring only if the archive refuses something without a token.

    ``said`` is the archive's name as somebody typed it, which is compared with the archive's own.

    Raises:
        CredentialsError: the archive refuses it, and there is no token; and what ``look`` raises.
    """
    token = given(instance)
    try:
        return _asked(instance, token, said, look)
    except CredentialsError:
        if token:
            raise
    found, trouble = find(instance, ask_password=False)
    if not found:
        raise nothing(instance, trouble, "it is embargoed, and you have not logged in")
    return _asked(instance, found, said, look)


def _asked(instance: str, token: Token | None, said: str | None, look: Callable[[ArchiveClient], Answer]) -> Answer:
    from dandi_mirror.archive.api.client import ArchiveClient
    from dandi_mirror.archive.http.session import Session
    from dandi_mirror.archive.instances import api_url, check_called

    with closing(Session(api_url(instance), token)) as session:
        archive = ArchiveClient(session)
        check_called(said, archive.instance)
        return look(archive)


def needed(instance: str) -> Token:
    """The token in the environment, else in the keyring, else the one that the person types, which is then kept.

    Raises:
        CredentialsError: there is none, and no terminal to ask at.
    """
    token, trouble = find(instance, ask_password=terminal.is_interactive())
    if token:
        return token
    if not terminal.is_interactive():
        raise nothing(instance, trouble)
    if trouble:
        terminal.say(f"the keyring could not be read: {trouble}", err=True)
    from dandi_mirror.archive.credentials import Token

    value, user = ask(instance)
    try:
        terminal.say(f"hello {shown(user)}; the key is kept in {keep(instance, value)}", err=True)
    except CredentialsError as error:
        # the next command asks again, but this one has the key
        terminal.say(str(error), err=True)
    return Token(value, "what you typed")


def find(instance: str, *, ask_password: bool) -> tuple[Token | None, str]:
    """The token in the environment, else in the keyring; and why the keyring could not be read.

    With ``ask_password`` the keyring may ask the person for its own password.
    """
    from dandi_mirror.archive.credentials import from_keyring, from_variable
    from dandi_mirror.archive.keyrings import KeyringTrouble

    try:
        return from_variable(instance) or from_keyring(instance, terminal=ask_password, tell=complain), ""
    except KeyringTrouble as error:
        return None, str(error)


def complain(words: str) -> None:
    """Tell the person at the terminal what was wrong with the answer."""
    terminal.say(words, err=True)


def nothing(instance: str, trouble: str = "", what: str = "") -> CredentialsError:
    """The error that there is no token, or that ``what`` is missing; it names both ways to give a token."""
    from dandi_mirror.archive.instances import instance_name, token_variable

    key = "your API key" if what else "it"
    what = what or f"no API key for {instance_name(instance)}"
    why = f" (the keyring: {trouble})" if trouble else ""
    return CredentialsError(
        f"{what}{why}; put {key} into {token_variable(instance)}, "
        f"or type it once on a terminal: dandi-mirror login -i {instance}"
    )


def ask(instance: str) -> tuple[str, ArchiveUser]:
    """Ask the person for a token, which is not shown, and the archive for the user that it belongs to.

    Raises:
        CredentialsError: the archive knows none of the tokens that the person typed.
        Unanswered: the person pressed Ctrl-C.
    """
    from dandi_mirror.archive.credentials import well_formed
    from dandi_mirror.archive.instances import instance_name

    name = instance_name(instance)
    for _ in range(TRIES):
        value = terminal.ask_secret(f"API key for {name}", NOT_KEPT)
        if not well_formed(value):
            complain("An API key has letters and digits only; copy it from the archive's web page.")
            continue
        try:
            return value, who(instance, value)
        except CredentialsError:
            complain(f"{name} does not know this key; copy it from the archive's web page.")
    raise CredentialsError(f"{TRIES} keys that {name} does not know; nothing was kept")


def who(instance: str, value: str | Token) -> ArchiveUser:
    """Ask the archive for the user that a token belongs to."""
    from dandi_mirror.archive.api.client import whoami
    from dandi_mirror.archive.http.session import Session
    from dandi_mirror.archive.instances import api_url

    with closing(Session(api_url(instance), value)) as session:
        return whoami(session)


def keep(instance: str, value: str) -> str:
    """Keep a token in the keyring; return the name of the backend that has it now.

    Raises:
        CredentialsError: no keyring keeps it.
    """
    from dandi_mirror.archive.credentials import store
    from dandi_mirror.archive.instances import token_variable
    from dandi_mirror.archive.keyrings import KeyringTrouble

    try:
        return store(instance, value, lambda question: terminal.agree(question, NOT_KEPT, default=True), complain)
    except KeyringTrouble as error:
        raise CredentialsError(
            f"the key is good, but it was not kept (the keyring: {error}); put it into {token_variable(instance)}"
        ) from None


def shown(user: ArchiveUser) -> str:
    """A user's name, escaped for a terminal."""
    from dandi_mirror.text import printable

    return printable(f"{user.name} ({user.username})" if user.name else user.username)
