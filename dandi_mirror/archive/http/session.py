"""HTTP session with an archive's API and the hosts of its content.

It follows no redirect of an API call, so that the token goes to the API's own origin and nowhere else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import TypeVar
from urllib.parse import urlencode, urljoin, urlsplit

import orjson

from dandi_mirror.addresses import Allowed, BadRedirect, is_at_loopback, redirect_target
from dandi_mirror.archive.credentials import Token
from dandi_mirror.archive.http.pool import AT_ONCE, make_http_session
from dandi_mirror.archive.http.retry import HOPS, MOST_FAILURES, Redirected, RetryPolicy
from dandi_mirror.archive.http.retrying_client import (
    LARGEST_ANSWER,
    Body,
    LostResponse,
    OutgoingRequest,
    RequestRefused,
    Response,
    RetryingClient,
)
from dandi_mirror.errors import BadAnswerError, PartError, TemporaryError

_T = TypeVar("_T")
_PAGE = 64 * 1024  # bytes of a page that is no redirect; it is not used


class Session:
    """Requests to one API; several threads may use it."""

    def __init__(
        self,
        api_url: str,
        token: str | Token | None = None,
        policy: RetryPolicy | None = None,
        *,
        at_once: int = AT_ONCE,
        allowed: Allowed | None = None,
    ) -> None:
        """``at_once``: connections to each host of content; the API gets few in any case.

        ``allowed``: the private hosts that the user has allowed; by default the API itself, which the user named.
        """
        self.api_url = api_url
        self.policy = policy or RetryPolicy()
        self.allowed = allowed or Allowed.named(api_url)
        """The private hosts that requests may go to."""
        self._token = token.value if isinstance(token, Token) else token
        key_from = token.source if isinstance(token, Token) else ""
        self._api = RetryingClient(make_http_session(self._api_headers(), self.allowed), self.policy, api_url, key_from)
        # nothing of the API's session is sent to the hosts of content, least of all the token
        self._content = RetryingClient(make_http_session({}, self.allowed, at_once), self.policy)

    def _api_headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json"}
        if is_at_loopback(self.api_url):
            # on one machine, compressing takes longer than sending
            headers["Accept-Encoding"] = "identity"
        if self._token:
            headers["Authorization"] = f"token {self._token}"
        return headers

    @property
    def has_token(self) -> bool:
        """Whether requests to the API carry a token."""
        return bool(self._token)

    @property
    def requests(self) -> int:
        """Requests, without retries."""
        return self._api.requests + self._content.requests

    @property
    def received(self) -> int:
        """Bytes of the responses, decoded."""
        return self._api.received + self._content.received

    @property
    def now(self) -> datetime:
        """The time by the API's clock, from its last response; by this machine's clock without one."""
        with suppress(ValueError):
            return parsedate_to_datetime(self._api.date).astimezone(UTC)
        return datetime.now(UTC)

    def close(self) -> None:
        """Close the connections."""
        self._api.close()
        self._content.close()

    def get(self, path: str, /, **query: str | int) -> object:
        """GET ``path`` (from the API's root, with a slash at its end); the JSON of the response.

        Raises:
            NotFoundError: 404.
            CredentialsError: 401 or 403.
            TemporaryError: no response, or a server error, after all attempts.
            BadAnswerError: the response is not JSON, twice, or too large.
            PartError: any other refusal.
        """
        url = f"{self.api_url}{path}" + (f"?{urlencode(query)}" if query else "")
        return self._json(OutgoingRequest(url, path))

    def send(self, method: str, path: str, body: object = None, /, *, again: bool = False) -> object:
        """Send a request that changes something; the JSON of the response, None if that is empty.

        ``body`` is sent as JSON, unless it is None.  ``again``: doing it twice has the same effect as once, so the
        request is repeated when no response comes.

        Raises:
            LostResponse: the API may have acted on it or not; only without ``again``.
            RequestRefused: 400, 405, 409, 423 and so on.
            and as :meth:`get` does.
        """
        content = b"" if body is None else orjson.dumps(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        asked = OutgoingRequest(
            f"{self.api_url}{path}", path, method=method, body=content, headers=headers, again=again
        )
        try:
            return self._json(asked)
        except BadAnswerError as error:
            if again:
                raise
            raise LostResponse(str(error)) from None

    def _json(self, asked: OutgoingRequest) -> object:
        try:
            answer = self._api.ask(asked)
            try:
                return answer.json if answer.content or asked.method == "GET" else None
            except BadAnswerError:
                if not asked.again:
                    raise
                # half a response, or a web page from a server in between: rarely so a second time
                time.sleep(self.policy.pause(1))
                return self._api.ask(asked).json
        except Redirected as moved:
            # the target may be signed, so the message does not repeat it
            raise PartError(
                f"{self.api_url} redirects {asked.shown} to another URL ({moved.status}), and dandi-mirror follows no "
                "redirect of an API; is it still the API's URL?"
            ) from None

    def once(
        self, do: Callable[[], _T], look: Callable[[], _T | None], *, attempts: int = 0,
        again: Callable[[Exception], bool] = lambda error: isinstance(error, LostResponse),
    ) -> _T:  # fmt: skip
        """Have the API do something once: if it may have failed, ``look`` whether it is done before trying again.

        ``again`` tells after which errors to try again; ``attempts`` is by default that of the retry policy.
        """
        attempts = attempts or self.policy.attempts
        for attempt in range(1, attempts + 1):
            try:
                return do()
            except (PartError, TemporaryError) as error:
                if not again(error):
                    raise
                time.sleep(self.policy.pause(attempt))
                if (found := look()) is not None:
                    return found
                if attempt == attempts:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def store(
        self, method: str, url: str, body: bytes | Body, headers: Mapping[str, str] = MappingProxyType({})
    ) -> Response:
        """Store bytes at a presigned URL, without the token; doing it twice must have the same effect as once.

        Raises:
            CredentialsError: the URL is not valid (any more).
            NotFoundError: the host does not know the upload (any more).
            RequestRefused: the host does not accept the bytes.
            TemporaryError: no response, or a server error, after all attempts.
        """
        there = _followed(self.api_url, url)
        shown = urlsplit(there).path
        try:
            return self._content.ask(OutgoingRequest(there, shown, method=method, body=body, headers=headers))
        except Redirected as moved:
            raise PartError(
                f"{shown}: the host redirects the upload ({moved.status}), which dandi-mirror does not follow"
            ) from None

    def content(self, url: str, most: int) -> bytes:
        """Download at most ``most`` bytes, following redirects.

        The token goes to the API's own URLs only, not to the targets of redirects.  Raises as :meth:`get` does.
        """
        client = self._api if self._token and self._is_own(url) else self._content
        for _ in range(HOPS):
            shown = urlsplit(url).path
            try:
                return client.ask(OutgoingRequest(url, shown, most)).content
            except Redirected as moved:
                url, client = _followed(url, str(moved)), self._content
        raise BadAnswerError(f"{shown}: more than {HOPS} redirects")

    def head(self, url: str) -> Mapping[str, str]:
        """The headers of what a host of content has at a URL; no content is sent, and no token.

        Raises as :meth:`get` does.
        """
        try:
            return self._content.ask(OutgoingRequest(url, urlsplit(url).path, method="HEAD")).headers
        except Redirected as moved:
            raise PartError(f"{urlsplit(url).path}: the host redirects the request ({moved.status})") from None

    def leads_to(self, url: str) -> str:
        """The target of a link's redirect, which is not requested; empty if the link does not redirect.

        Raises as :meth:`get` does.
        """
        try:
            self._content.ask(OutgoingRequest(url, urlsplit(url).path, _PAGE))
        except Redirected as moved:
            with suppress(ValueError):
                return urljoin(url, str(moved))
        except BadAnswerError:
            pass  # a large page
        return ""

    def _is_own(self, url: str) -> bool:
        return url.startswith(f"{self.api_url}/")


def _followed(here: str, location: str) -> str:
    """The target of a redirect, or of a presigned URL.

    Raises:
        BadAnswerError: the program must not follow it.
    """
    try:
        return redirect_target(here, location)
    except BadRedirect as error:
        raise BadAnswerError(f"{urlsplit(here).path}: {error}") from None


__all__ = ["LARGEST_ANSWER", "MOST_FAILURES", "Body", "LostResponse", "RequestRefused", "Session"]
