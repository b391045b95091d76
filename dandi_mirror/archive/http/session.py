"""One polite, bounded, patient HTTP session to an archive's API, and to where its content is.

Redirects are not followed for API calls, so the token goes to the API's own origin and nowhere else.
"""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlencode, urljoin, urlsplit

import orjson

from dandi_mirror.addresses import Allowed, NotFollowed, followed, is_loopback
from dandi_mirror.archive.credentials import Token
from dandi_mirror.archive.http.pool import AT_ONCE, http_session
from dandi_mirror.archive.http.retry import HOPS, MISSED, Moved, RetryPolicy
from dandi_mirror.archive.http.retrying_client import (
    LARGEST_ANSWER,
    Answer,
    Asked,
    Body,
    Door,
    LostAnswer,
    Refused,
)
from dandi_mirror.errors import BadAnswerError, PartError

_PAGE = 64 * 1024  # bytes of a page that is no redirect; it is not used


class Session:
    """Requests to one API; safe to be used by several threads."""

    def __init__(
        self,
        api_url: str,
        token: str | Token | None = None,
        policy: RetryPolicy | None = None,
        *,
        at_once: int = AT_ONCE,
        allowed: Allowed | None = None,
    ) -> None:
        """``at_once``: connections to a host where content is; to the API there are few in any case.

        ``allowed``: what may be asked on this machine or network; without it the API itself, which a person named.
        """
        self.api_url = api_url
        self.policy = policy or RetryPolicy()
        self._token = token.value if isinstance(token, Token) else token
        allowed = allowed or Allowed.named(api_url)
        key_from = token.source if isinstance(token, Token) else ""
        self._api = Door(http_session(self._api_headers(), allowed), self.policy, api_url, key_from)
        # nothing of the API's session, its token least of all, is ever sent to where content is
        self._content = Door(http_session({}, allowed, at_once), self.policy)

    def _api_headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json"}
        if is_loopback(urlsplit(self.api_url).hostname):
            # on one machine, to compress costs more than to send
            headers["Accept-Encoding"] = "identity"
        if self._token:
            headers["Authorization"] = f"token {self._token}"
        return headers

    @property
    def has_token(self) -> bool:
        """Whether the API is told who asks."""
        return bool(self._token)

    @property
    def requests(self) -> int:
        """How many answers were asked for (retries not counted)."""
        return self._api.requests + self._content.requests

    @property
    def received(self) -> int:
        """Bytes of these answers, decoded."""
        return self._api.received + self._content.received

    @property
    def now(self) -> datetime:
        """The time by the API's clock, as its last answer has it; by our own, if it does not say."""
        with suppress(ValueError):
            return parsedate_to_datetime(self._api.date).astimezone(UTC)
        return datetime.now(UTC)

    def close(self) -> None:
        """Close the connections."""
        self._api.close()
        self._content.close()

    def get(self, path: str, /, **query: str | int) -> object:
        """The JSON that the API answers at ``path`` (from its root, with a slash at its end).

        Raises:
            NotFoundError: 404.
            CredentialsError: 401 or 403.
            TemporaryError: no answer, or a server's error, after all attempts.
            BadAnswerError: an answer that is not JSON, twice, or too large.
            PartError: any other refusal.
        """
        url = f"{self.api_url}{path}" + (f"?{urlencode(query)}" if query else "")
        return self._json(Asked(url, path))

    def send(self, method: str, path: str, body: object = None, /, *, again: bool = False) -> object:
        """Have the API do something; the JSON that it answers, None if it answers with nothing.

        ``body`` is sent as JSON, unless it is None.  ``again``: to ask twice does what asking once does, so that it
        is asked again when no answer comes.

        Raises:
            LostAnswer: it may have been done, or not; only without ``again``.
            Refused: 400, 405, 409, 423 and so on.
            and as :meth:`get` does.
        """
        content = b"" if body is None else orjson.dumps(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        asked = Asked(f"{self.api_url}{path}", path, method=method, body=content, headers=headers, again=again)
        try:
            return self._json(asked)
        except BadAnswerError as error:
            if again:
                raise
            raise LostAnswer(str(error)) from None

    def _json(self, asked: Asked) -> object:
        try:
            answer = self._api.ask(asked)
            try:
                return answer.json if answer.content or asked.method == "GET" else None
            except BadAnswerError:
                if not asked.again:
                    raise
                # half an answer, or a page of something in between: seldom so a second time
                time.sleep(self.policy.pause(1))
                return self._api.ask(asked).json
        except Moved as moved:
            # not repeated: where it leads may be signed
            raise PartError(
                f"{self.api_url} sends {asked.shown} elsewhere ({moved.status}), which is not followed; "
                "is it still the API's URL?"
            ) from None

    def store(self, method: str, url: str, body: bytes | Body) -> Answer:
        """Have something stored where content is, by a presigned URL; the token does not go there.

        To ask twice must do what asking once does.

        Raises:
            CredentialsError: the URL does not open it (any more).
            NotFoundError: it has no place any more.
            Refused: it is not as it should be.
            TemporaryError: no answer, or a server's error, after all attempts.
        """
        there = _followed(self.api_url, url)
        shown = urlsplit(there).path
        try:
            return self._content.ask(Asked(there, shown, method=method, body=body))
        except Moved as moved:
            raise PartError(f"{shown} is to be stored elsewhere ({moved.status}), which is not followed") from None

    def content(self, url: str, most: int) -> bytes:
        """The bytes at a content URL, following redirects; at most ``most`` bytes.

        The token goes to the API's own URLs only, not to what they lead to.  Raises as :meth:`get` does.
        """
        door = self._api if self._token and self._is_own(url) else self._content
        for _ in range(HOPS):
            shown = urlsplit(url).path
            try:
                return door.ask(Asked(url, shown, most)).content
            except Moved as moved:
                url, door = _followed(url, str(moved)), self._content
        raise BadAnswerError(f"{shown}: more than {HOPS} redirects")

    def leads_to(self, url: str) -> str:
        """Where a link leads by a redirect, which is not asked for; empty if it leads nowhere.

        Raises as :meth:`get` does.
        """
        try:
            self._content.ask(Asked(url, urlsplit(url).path, _PAGE))
        except Moved as moved:
            with suppress(ValueError):
                return urljoin(url, str(moved))
        except BadAnswerError:
            pass  # a page, and a large one
        return ""

    def _is_own(self, url: str) -> bool:
        return url.startswith(f"{self.api_url}/")


def _followed(here: str, location: str) -> str:
    """Where a redirect leads.

    Raises:
        BadAnswerError: nowhere that is to be asked.
    """
    try:
        return followed(here, location)
    except NotFollowed as error:
        raise BadAnswerError(f"{urlsplit(here).path}: {error}") from None


__all__ = ["LARGEST_ANSWER", "MISSED", "Body", "LostAnswer", "Refused", "Session"]
