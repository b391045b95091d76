"""The calls to the API that a mirror makes, each answer checked for its shape at the door."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from dandi_mirror.archive.api.rows import Rows, dandiset_row, json_object, version_row
from dandi_mirror.archive.http.session import Session
from dandi_mirror.errors import BadAnswerError
from dandi_mirror.model import (
    DRAFT,
    DandisetRow,
    Instance,
    VersionRow,
    is_instance_name,
    is_version_id,
)

PAGE = 1000
"""Rows asked for in one request: the most that the server gives."""
MOST_PAGES = 10_000


@dataclass(frozen=True, slots=True)
class User:
    """Whose token it is."""

    username: str
    name: str
    admin: bool
    approved: bool
    """Whether the archive lets them write; who has just registered waits for that."""


def whoami(session: Session) -> User:
    """Who the archive takes the session's token for; one request.

    Raises:
        CredentialsError: for nobody that it knows.
    """
    path = "/users/me/"
    answer = json_object(session.get(path), path)
    username, name = answer.get("username"), answer.get("name")
    if not isinstance(username, str) or not isinstance(name, str):
        raise BadAnswerError(f"{path}: not a user")
    return User(username, name, answer.get("admin") is True, answer.get("status") == "APPROVED")


def _mints_dois(info: dict[str, object]) -> bool:
    config = info.get("instance_config")
    return isinstance(config, dict) and bool(config.get("doi_prefix"))


class Archive:
    """An archive instance as a client sees it."""

    def __init__(self, session: Session) -> None:
        self.session = session
        info = json_object(session.get("/info/"), "/info/")
        self.instance = self._instance(info)
        self.schema_version = str(info.get("schema_version", ""))
        """Of the metadata that it takes; empty if it does not say."""
        self.mints_dois = _mints_dois(info)
        """Whether its published versions get DOIs."""

    def _instance(self, info: dict[str, object]) -> Instance:
        config = info.get("instance_config")
        name = config.get("instance_name") if isinstance(config, dict) else None
        if not is_instance_name(name):
            raise BadAnswerError(f"{self.session.api_url}/info/ does not say what the instance is called")
        return Instance(str(name), self.session.api_url)

    def dandiset(self, identifier: str) -> DandisetRow:
        """One Dandiset's row."""
        path = f"/dandisets/{identifier}/"
        row = dandiset_row(self.session.get(path), path)
        if row.identifier != identifier:
            raise BadAnswerError(f"{path} answers for {row.identifier!a}")
        return row

    def active_uploads(self, identifier: str) -> int:
        """Uploads to a Dandiset that somebody began and did not end; only its owners may ask."""
        path = f"/dandisets/{identifier}/uploads/"
        count = json_object(self.session.get(path), path).get("count")
        if type(count) is not int:
            raise BadAnswerError(f"{path} does not say how many uploads there are")
        return count

    def dandisets(self, *, embargoed: bool = False) -> Rows:
        """The row of every open Dandiset by its id; None for one whose row is not as it should be.

        ``embargoed``: also of those under embargo that the token's owner may read.
        """
        path = "/dandisets/"
        return Rows(self._counted(path, **({"embargoed": "true"} if embargoed else {})), path)

    def versions(self, identifier: str) -> tuple[list[VersionRow], list[str]]:
        """The published versions, oldest first by ``created``; and what is listed but cannot be a version."""
        path = f"/dandisets/{identifier}/versions/"
        rows: list[VersionRow] = []
        strange: list[str] = []
        has_draft = False
        for row in self._counted(path, order="created"):
            name = row.get("version") if isinstance(row, dict) else None
            if is_version_id(name):
                rows.append(version_row(row, path))
            elif name == DRAFT:
                has_draft = True
            else:
                strange.append(ascii(name)[:80])
        if not has_draft:
            # an archive in trouble may answer with a list of nothing
            raise BadAnswerError(
                f"{path} does not list the draft, which every Dandiset has; run the command again later"
            )
        if len({row.version for row in rows}) != len(rows):
            raise BadAnswerError(f"{path} names a version twice")
        return sorted(rows, key=lambda row: (row.created, row.version)), strange

    def version_metadata(self, identifier: str, version: str) -> dict[str, object]:
        """The Dandiset's record at a version."""
        path = f"/dandisets/{identifier}/versions/{version}/"
        record = json_object(self.session.get(path), path)
        if "name" not in record:
            # it would stand in a tag for good
            raise BadAnswerError(f"{path}: not a Dandiset's record, for it has no name")
        return record

    def text(self, url: str, size: int) -> bytes:
        """The content of a text asset of ``size`` bytes."""
        return self.session.content(url, size)

    def _counted(self, path: str, **extra: str) -> Iterator[object]:
        """The rows of a counted list, page by page."""
        page, rows, count = 1, 0, None
        while page <= MOST_PAGES:
            answer = json_object(self.session.get(path, page=page, page_size=PAGE, **extra), path)
            results = _results(answer, path)
            yield from results
            rows += len(results)
            count = answer.get("count")
            more = check_next(self.session.api_url, path, answer.get("next"), page)
            # a list that goes on beyond its count, or with nothing, would go on for ever
            if not more or not results or (type(count) is int and rows > count):
                break
            page += 1
        if rows != count:
            raise BadAnswerError(f"{path} counts {ascii(count)[:20]} rows and gives {rows}; run the command again")


def check_next(api_url: str, path: str, link: object, page: int) -> bool:
    """Whether there is a page after ``page``.

    Raises:
        BadAnswerError: ``link`` leads anywhere but to the next page of the same list.
    """
    if link is None:
        return False
    here = urlsplit(api_url + path)
    try:
        there = urlsplit(link) if isinstance(link, str) else None
    except ValueError:
        there = None
    if there is None or there.hostname != here.hostname or there.path != here.path:
        raise BadAnswerError(f"{path}: page {page} is followed by a page of something else")
    if parse_qs(there.query).get("page") != [str(page + 1)]:
        raise BadAnswerError(f"{path}: page {page} is not followed by page {page + 1}")
    return True


def _results(answer: dict[str, object], path: str) -> list[object]:
    results = answer.get("results")
    if not isinstance(results, list):
        raise BadAnswerError(f"{path}: a page without results")
    return results
