"""The API calls that read Dandisets and versions; the shape of each response is checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from dandi_mirror.addresses import origin
from dandi_mirror.archive.api.entries import DandisetListing, json_object, listed_dandiset, listed_version
from dandi_mirror.archive.http.session import Session
from dandi_mirror.errors import BadAnswerError
from dandi_mirror.model import (
    DRAFT,
    Instance,
    ListedDandiset,
    ListedVersion,
    is_instance_name,
    is_version_id,
)

PAGE = 1000
"""Entries per page: the most that the server gives."""
MOST_PAGES = 10_000


@dataclass(frozen=True, slots=True)
class ArchiveUser:
    """The user that a token belongs to."""

    username: str
    name: str
    admin: bool
    approved: bool
    """Whether the archive lets them write; people who have just registered have to wait for approval."""


def whoami(session: Session) -> ArchiveUser:
    """The user that the session's token belongs to; one request.

    Raises:
        CredentialsError: the archive does not know the token.
    """
    path = "/users/me/"
    answer = json_object(session.get(path), path)
    username, name = answer.get("username"), answer.get("name")
    if not isinstance(username, str) or not isinstance(name, str):
        raise BadAnswerError(f"{path}: not a user")
    return ArchiveUser(username, name, answer.get("admin") is True, answer.get("status") == "APPROVED")


def _mints_dois(info: dict[str, object]) -> bool:
    config = info.get("instance_config")
    return isinstance(config, dict) and bool(config.get("doi_prefix"))


class ArchiveClient:
    """An archive, as its API describes it."""

    def __init__(self, session: Session) -> None:
        self.session = session
        info = json_object(session.get("/info/"), "/info/")
        self.instance = self._instance(info)
        self.schema_version = str(info.get("schema_version", ""))
        """The schema version of the metadata that it accepts; empty if it does not say."""
        self.mints_dois = _mints_dois(info)
        """Whether its published versions get DOIs."""

    def _instance(self, info: dict[str, object]) -> Instance:
        config = info.get("instance_config")
        name = config.get("instance_name") if isinstance(config, dict) else None
        if not is_instance_name(name):
            raise BadAnswerError(f"{self.session.api_url}/info/ does not give the archive's name")
        return Instance(str(name), self.session.api_url)

    def dandiset(self, identifier: str) -> ListedDandiset:
        """The listing entry of one Dandiset."""
        path = f"/dandisets/{identifier}/"
        entry = listed_dandiset(self.session.get(path), path)
        if entry.identifier != identifier:
            raise BadAnswerError(f"{path} answers for {entry.identifier!a}")
        return entry

    def active_uploads(self, identifier: str) -> int:
        """The number of unfinished uploads to a Dandiset; the API tells only its owners."""
        path = f"/dandisets/{identifier}/uploads/"
        count = json_object(self.session.get(path), path).get("count")
        if type(count) is not int:
            raise BadAnswerError(f"{path} does not say how many uploads there are")
        return count

    def dandisets(self, *, embargoed: bool = False) -> DandisetListing:
        """The listing entry of every open Dandiset, by its id; None for an entry that is malformed.

        ``embargoed``: also the embargoed Dandisets that the token's owner may read.
        """
        path = "/dandisets/"
        return DandisetListing(self.counted(path, **({"embargoed": "true"} if embargoed else {})), path)

    def versions(self, identifier: str) -> tuple[list[ListedVersion], list[str]]:
        """The published versions, oldest first by ``created``; and listed names that are not versions."""
        path = f"/dandisets/{identifier}/versions/"
        entries: list[ListedVersion] = []
        strange: list[str] = []
        has_draft = False
        for entry in self.counted(path, order="created"):
            name = entry.get("version") if isinstance(entry, dict) else None
            if is_version_id(name):
                entries.append(listed_version(entry, path))
            elif name == DRAFT:
                has_draft = True
            else:
                strange.append(ascii(name)[:80])
        if not has_draft:
            # an archive in trouble may return an empty list
            raise BadAnswerError(
                f"{path} does not list the draft, which every Dandiset has; run the command again later"
            )
        if len({entry.version for entry in entries}) != len(entries):
            raise BadAnswerError(f"{path} names a version twice")
        return sorted(entries, key=lambda entry: (entry.created, entry.version)), strange

    def version_metadata(self, identifier: str, version: str) -> dict[str, object]:
        """The record of a Dandiset at a version."""
        path = f"/dandisets/{identifier}/versions/{version}/"
        record = json_object(self.session.get(path), path)
        if "name" not in record:
            # otherwise the mirror would tag it for good
            raise BadAnswerError(f"{path}: not a Dandiset's record, because it has no name")
        return record

    def text(self, url: str, size: int) -> bytes:
        """Download a text asset of ``size`` bytes."""
        return self.session.content(url, size)

    def counted(self, path: str, **extra: str) -> Iterator[object]:
        """The entries of a counted list, page by page."""
        page, listed, count = 1, 0, None
        while page <= MOST_PAGES:
            answer = json_object(self.session.get(path, page=page, page_size=PAGE, **extra), path)
            results = _results(answer, path)
            yield from results
            listed += len(results)
            count = answer.get("count")
            more = check_next(self.session.api_url, path, answer.get("next"), page)
            # a list that goes on beyond its count, or with empty pages, would never end
            if not more or not results or (type(count) is int and listed > count):
                break
            page += 1
        if listed != count:
            raise BadAnswerError(f"{path} counts {ascii(count)[:20]} entries and lists {listed}; run the command again")


def check_next(api_url: str, path: str, link: object, page: int) -> bool:
    """Whether there is a page after ``page``.

    Raises:
        BadAnswerError: ``link`` is not the next page of the same list, with the same scheme, host and port.
    """
    if link is None:
        return False
    try:
        there = urlsplit(link) if isinstance(link, str) else None
        same = there is not None and origin(str(link)) == origin(api_url)
    except ValueError:
        there, same = None, False
    if there is None or not same or there.path != urlsplit(api_url + path).path:
        raise BadAnswerError(f"{path}: page {page} is followed by a page of something else")
    if parse_qs(there.query).get("page") != [str(page + 1)]:
        raise BadAnswerError(f"{path}: page {page} is not followed by page {page + 1}")
    return True


def _results(answer: dict[str, object], path: str) -> list[object]:
    results = answer.get("results")
    if not isinstance(results, list):
        raise BadAnswerError(f"{path}: a page without results")
    return results
