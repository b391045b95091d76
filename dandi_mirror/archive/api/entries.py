"""Entries of the API's listings of Dandisets and versions, checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dandi_mirror.errors import BadAnswerError
from dandi_mirror.model import DRAFT, ListedDandiset, ListedVersion, is_dandiset_id, is_version_id, parse_time


class DandisetListing(Mapping[str, ListedDandiset | None]):
    """The entries of a listing of Dandisets, by id; None for an entry that is malformed.

    Parses an entry only on access: to parse all entries would take longer than the rest of a sync without changes.
    """

    def __init__(self, answers: Iterable[object], path: str) -> None:
        """``answers`` as the API gives them at ``path``.

        Raises:
            BadAnswerError: an entry does not even have the id of a Dandiset.
        """
        self._path = path
        self._answers: dict[str, dict[str, Any]] = {}
        for answer in answers:
            identifier = answer.get("identifier") if isinstance(answer, dict) else None
            if not isinstance(answer, dict) or not is_dandiset_id(identifier):
                raise not_a_dandiset(path)
            self._answers[identifier] = answer

    def __getitem__(self, dandiset: str) -> ListedDandiset | None:
        answer = self._answers[dandiset]
        try:
            return listed_dandiset(answer, self._path)
        except BadAnswerError:
            return None

    def __contains__(self, dandiset: object) -> bool:
        return dandiset in self._answers

    def __iter__(self) -> Iterator[str]:
        return iter(self._answers)

    def __len__(self) -> int:
        return len(self._answers)

    def unread(self, dandiset: str) -> dict[str, object] | None:
        """The fields of a :class:`ListedDandiset` by the same names, as the API wrote them, unchecked.

        None if there is no such entry, or a field is missing.
        """
        try:
            answer = self._answers[dandiset]
            published = answer["most_recent_published_version"]
            return {
                "identifier": answer["identifier"],
                "embargo_status": answer["embargo_status"],
                "draft": _unread(answer["draft_version"]),
                "published": None if published is None else _unread(published),
            }
        except (KeyError, TypeError):
            return None


def _unread(entry: dict[str, object]) -> dict[str, object]:
    return {
        "version": entry["version"],
        "name": entry["name"],
        "asset_count": entry["asset_count"],
        "size": entry["size"],
        "status": entry["status"],
        "created": entry["created"],
        "modified": entry["modified"],
    }


def listed_dandiset(answer: object, path: str) -> ListedDandiset:
    """A Dandiset's listing entry from the API's JSON.

    Raises:
        BadAnswerError: it is malformed.
    """
    entry = json_object(answer, path)
    identifier, embargo = entry.get("identifier"), entry.get("embargo_status")
    if not is_dandiset_id(identifier) or not isinstance(embargo, str) or not embargo.isascii():
        raise not_a_dandiset(path)
    answered = entry.get("most_recent_published_version")
    draft = listed_version(entry.get("draft_version"), path)
    published = None if answered is None else listed_version(answered, path)
    if draft.version != DRAFT or (published and not is_version_id(published.version)):
        raise BadAnswerError(f"{path}: an entry whose versions have invalid names")
    return ListedDandiset(identifier, embargo, draft, published)


def listed_version(answer: object, path: str) -> ListedVersion:
    """A version's listing entry from the API's JSON.

    Raises:
        BadAnswerError: it is malformed.
    """
    entry = json_object(answer, path)
    try:
        numbers: list[Any] = [entry["asset_count"], entry["size"]]
        words: list[Any] = [entry["version"], entry["name"], entry["status"]]
        if {*map(type, numbers)} != {int} or min(numbers) < 0:
            raise ValueError("a count is not a number")
        if {*map(type, words)} != {str}:
            raise ValueError("a field is not text")
        created, modified = parse_time(entry["created"]), parse_time(entry["modified"])
    except (KeyError, ValueError) as error:
        raise BadAnswerError(f"{path}: not a version's entry ({error})") from None
    return ListedVersion(words[0], words[1], numbers[0], numbers[1], words[2], created, modified)


def json_object(answer: object, path: str) -> dict[str, object]:
    """A response that must be a JSON object.

    Raises:
        BadAnswerError: it is something else.
    """
    if not isinstance(answer, dict):
        raise BadAnswerError(f"{path}: not a JSON object")
    return answer


def not_a_dandiset(path: str) -> BadAnswerError:
    """The error for an entry that is not a Dandiset's."""
    return BadAnswerError(f"{path}: not a Dandiset's entry")
