"""HTTP client that retries until it gets a response or the retry policy gives up.

It limits the bytes and the time of each response, waits longer before each attempt, and waits as long as the server
asks for (Retry-After).  It follows no redirect.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

import requests
from requests.exceptions import InvalidHeader, InvalidURL, MissingSchema
from urllib3.exceptions import HTTPError, LocationParseError, MaxRetryError, NewConnectionError

from dandi_mirror.addresses import host_of
from dandi_mirror.archive.http.environment import proxy_for, refuse_request
from dandi_mirror.archive.http.pool import HttpSession
from dandi_mirror.archive.http.reasons import explain, wants_password
from dandi_mirror.archive.http.response import ResponseTooLarge, ResponseTooLate, detail, parse, read_body
from dandi_mirror.archive.http.retry import (
    LATER,
    REDIRECTED,
    RETRIED,
    HostState,
    NoResponse,
    Redirected,
    RetryPolicy,
    retry_after,
    with_retries,
)
from dandi_mirror.archive.http.wait_messages import WAIT_MESSAGES
from dandi_mirror.errors import BadAnswerError, CredentialsError, NotFoundError, PartError, TemporaryError

LOG = logging.getLogger("dandi_mirror")
LARGEST_ANSWER = 64 * 1024 * 1024  # bytes, decoded
_UNUSABLE = (InvalidURL, InvalidHeader, MissingSchema, LocationParseError)
_DONE = frozenset({200, 201, 202, 204})


class Body(Protocol):
    """Bytes to send, in pieces; each iteration begins at the start."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[memoryview]: ...


@dataclass(frozen=True, slots=True)
class OutgoingRequest:
    """One request."""

    url: str
    shown: str
    """What messages call it: a path, nothing secret."""
    most: int = LARGEST_ANSWER
    """The most bytes that the response may have."""
    method: str = "GET"
    body: bytes | Body | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    again: bool = True
    """Whether it may be repeated if the server may have acted on it and only the response was lost."""


@dataclass(frozen=True, slots=True)
class Response:
    """A successful response."""

    asked: OutgoingRequest
    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> object:
        """The content as JSON; BadAnswerError if it is not JSON."""
        return parse(self.content, self.asked.shown)


class RequestRefused(PartError):
    """The server refuses the request.  ``said``: the body's text; ``location``: the header; either may be empty."""

    def __init__(self, message: str, status: int, said: str = "", location: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.said = said
        self.location = location


class LostResponse(TemporaryError):
    """No response came to a request that must not be repeated; the server may have acted on it or not."""


class RetryingClient:
    """Requests to the API, or to any other host; several threads may use it."""

    def __init__(self, http: HttpSession, policy: RetryPolicy, api_url: str = "", key_from: str = "") -> None:
        """``api_url``: the API that all requests go to; empty for a client of any host.

        ``key_from``: where the API key was found, if known.
        """
        self.requests = 0
        """Requests, without retries."""
        self.received = 0
        """Bytes of the responses, decoded."""
        self.date = ""
        """The ``Date`` header of the last response; empty if it had none."""
        self._http = http
        self._policy = policy
        self._api_url = api_url
        self._key_from = key_from
        self._host = HostState(host_of(api_url) or "the host of the content")

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def ask(self, asked: OutgoingRequest) -> Response:
        """Make a request until a response comes or the retry policy gives up; the response.

        Raises:
            Redirected: the response is a redirect.
            NotFoundError: 404.
            CredentialsError: 401 or 403.
            LostResponse: no response came, and ``again`` is false.
            TemporaryError: no response, or a server error, after all attempts.
            Refused: any other refusal.
        """
        self._host.check(asked.shown)
        self.requests += 1
        try:
            return with_retries(lambda: self._once(asked), self._policy, self._host, asked.shown)
        except NoResponse as missed:
            kind = TemporaryError if asked.again or missed.not_sent else LostResponse
            raise kind(f"{missed}; {LATER}") from None

    def _once(self, asked: OutgoingRequest) -> Response:
        if why := refuse_request(asked.url, self._http.allowed):
            raise PartError(f"{asked.shown}: {why}")
        deadline = time.monotonic() + self._policy.total_timeout
        whom = self._api_url or "{0.scheme}://{0.netloc}".format(urlsplit(asked.url))
        try:
            with self._answer(asked) as answer:
                self._check(answer, whom, asked, deadline)
                content = read_body(answer, asked.most, deadline)
                self.received += len(content)
                self.date = answer.headers.get("date", "")
                return Response(asked, answer.status_code, answer.headers, content)
        except ResponseTooLarge:
            raise BadAnswerError(f"{asked.shown}: the response has more than {asked.most} bytes") from None
        except ResponseTooLate:
            # another attempt would take as long
            raise NoResponse(
                f"{asked.shown}: no complete response in {self._policy.total_timeout:.0f} seconds", again=False
            ) from None
        except _UNUSABLE:
            raise BadAnswerError(f"{asked.shown}: the URL is malformed") from None
        except (requests.RequestException, HTTPError) as error:
            raise self._no_response(error, asked, whom) from None

    def _no_response(self, error: Exception, asked: OutgoingRequest, whom: str) -> NoResponse:
        """Turn an error into a NoResponse; drops the error's own text, which can hold presigned URLs.

        Raises:
            SetupError: another attempt would not help.
        """
        host = host_of(asked.url)
        found = explain(error, host, proxy_for(asked.url))
        not_sent = found.unreachable or _was_not_sent(error)
        message = f"{whom} did not answer {asked.shown}: {found.words}"
        return NoResponse(
            message,
            why=found.what,
            host=host,
            again=asked.again or not_sent,
            not_sent=not_sent,
            unreachable=found.unreachable,
        )

    @contextmanager
    def _answer(self, asked: OutgoingRequest) -> Iterator[requests.Response]:
        """A response while it is read; logs the query of API requests only, which holds no secret."""
        begun, status = time.monotonic(), 0
        host = host_of(asked.url)
        timeout = (self._policy.connect_timeout, self._policy.read_timeout)
        body: Any = asked.body  # requests takes pieces of any kind
        try:
            with WAIT_MESSAGES.waiting(host):
                answer = self._http.request(
                    asked.method, asked.url, data=body, headers=asked.headers, timeout=timeout, stream=True,
                    allow_redirects=False,
                )  # fmt: skip
            with answer:
                status = answer.status_code
                yield answer
        finally:
            where = asked.url.removeprefix(self._api_url) if self._api_url else asked.shown
            spent = (time.monotonic() - begun) * 1000
            LOG.debug("%s %s %s %.0f ms", asked.method, where, status or "no answer", spent)

    def _check(self, answer: requests.Response, whom: str, asked: OutgoingRequest, deadline: float) -> None:
        status, shown = answer.status_code, asked.shown
        if status == 200 or (asked.method != "GET" and status in _DONE):
            return
        if status in REDIRECTED:
            if "location" in answer.headers:
                raise Redirected(answer.headers["location"], status)
            raise PartError(f"{whom} redirects {shown} ({status}) without saying where to")
        if status == 407:
            raise wants_password(proxy_for(asked.url))
        said = detail(answer, deadline)
        if status in {404, 410}:
            raise NotFoundError(f"{whom} has no {shown} ({status}{said})")
        if status in {401, 403}:
            raise CredentialsError(self._refusal(whom, asked, status, said))
        if status in RETRIED:
            pause = retry_after(answer.headers.get("retry-after"))
            raise NoResponse(
                f"{whom} answers {shown} with {status}{said}", pause, why=f"it answers with {status}",
                again=asked.again or status == 429, not_sent=status == 429,
            )  # fmt: skip
        if status >= 500:
            raise TemporaryError(f"{whom} answers {shown} with {status}{said}; {LATER}")
        words = said.removeprefix(": ").strip('"')
        raise RequestRefused(
            f"{whom} answers {shown} with {status}{said}", status, words, answer.headers.get("location", "")
        )

    def _refusal(self, whom: str, asked: OutgoingRequest, status: int, said: str) -> str:
        """The message for a refused request (401, 403), with what to type."""
        if not self._api_url:
            return f"{whom} refuses {asked.shown} ({status}{said}); the link may have expired"
        has_key = "Authorization" in self._http.headers
        login = f"dandi-mirror login -i {self._api_url}"
        if status == 401 and has_key:
            origin = f" from {self._key_from}" if self._key_from else ""
            return (
                f"{whom} does not accept the API key{origin} ({status}{said}); "
                f"copy a valid one from the archive's web page: {_new_key(self._key_from, login)}"
            )
        if status == 401:
            return f"{whom} refuses {asked.shown} ({status}{said}) without an API key: {login}"
        why = "it is embargoed" if asked.method == "GET" else "you do not have permission to change it"
        whose = f"; to see whose API key is used, run {login} --check" if has_key else f" without an API key: {login}"
        return f"{whom} refuses {asked.shown} ({status}{said}); {why}{whose}"


def _new_key(source: str, login: str) -> str:
    """How to replace an API key that was found in ``source``."""
    return f"put it into {source}, or unset that and run {login}" if source.endswith("_API_KEY") else login


def _was_not_sent(error: Exception) -> bool:
    """Whether the request was not even sent, because there was no connection."""
    cause = error.args[0] if error.args else None
    return isinstance(error, requests.ConnectTimeout) or (
        isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)
    )
