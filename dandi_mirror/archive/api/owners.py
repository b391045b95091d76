"""The API calls about people: the owners of a Dandiset, who may change it, and the users of the archive."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dandi_mirror.archive.http.session import Session
from dandi_mirror.errors import BadAnswerError


@dataclass(frozen=True, slots=True)
class User:
    """A user of the archive."""

    username: str
    """On the DANDI Archive the name of a GitHub account."""
    name: str
    """The person's name; empty if the archive does not tell."""


def owners(session: Session, dandiset: str) -> list[User]:
    """The owners of a Dandiset, in the archive's order."""
    path = f"/dandisets/{dandiset}/users/"
    return _users(session.get(path), path)


def set_owners(session: Session, dandiset: str, usernames: Iterable[str]) -> None:
    """Replace the owners of a Dandiset.

    Raises:
        RequestRefused: the archive knows no user of such a name, or the list is empty.
        CredentialsError: the token's user does not own the Dandiset.
    """
    body = [{"username": name} for name in usernames]
    session.send("PUT", f"/dandisets/{dandiset}/users/", body, again=True)


def search_users(session: Session, begun: str) -> list[User]:
    """Users whose name or username contains a text; the archive tells some of them, and only to users."""
    path = "/users/search/"
    return _users(session.get(path, username=begun), path)


def _users(answer: object, path: str) -> list[User]:
    if not isinstance(answer, list):
        raise BadAnswerError(f"{path}: not a list of users")
    return [_user(entry, path) for entry in answer]


def _user(entry: object, path: str) -> User:
    username, name = (entry.get("username"), entry.get("name")) if isinstance(entry, dict) else (None, None)
    if not isinstance(username, str) or not username:
        raise BadAnswerError(f"{path}: a user without a username")
    return User(username, name if isinstance(name, str) else "")
