"""A way out: its connections, and asking there until an answer comes or the policy ends.

What is read is bounded in bytes and in time.  An answer that does not come is asked for again, later each time, and
not for ever; when the other side says when it wants to be asked again, nothing is asked before.  No redirect is
followed.
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

from dandi_mirror.addresses import refusal
from dandi_mirror.archive.http.environment import proxy_for
from dandi_mirror.archive.http.notices import NOTICES
from dandi_mirror.archive.http.pool import Http
from dandi_mirror.archive.http.reasons import place, reason, wants_password
from dandi_mirror.archive.http.response import TooLarge, TooLate, detail, parse, read_body
from dandi_mirror.archive.http.retry import (
    LATER,
    REDIRECTED,
    RETRIED,
    Host,
    Missed,
    Moved,
    RetryPolicy,
    ask_again,
    retry_after,
)
from dandi_mirror.errors import BadAnswerError, CredentialsError, NotFoundError, PartError, TemporaryError

LOG = logging.getLogger("dandi_mirror")
LARGEST_ANSWER = 64 * 1024 * 1024  # bytes, decoded
_UNUSABLE = (InvalidURL, InvalidHeader, MissingSchema, LocationParseError)
_DONE = frozenset({200, 201, 202, 204})


class Body(Protocol):
    """Bytes to be sent, in pieces; from the start again each time that they are iterated over."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[memoryview]: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    url: str
    shown: str
    """What is said of it: a path, nothing that is secret."""
    most: int = LARGEST_ANSWER
    """Bytes of an answer."""
    method: str = "GET"
    body: bytes | Body | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    again: bool = True
    """Whether it may be made again when it has perhaps been heard, and only the answer did not come."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back of a request that was granted."""

    asked: Asked
    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> object:
        """The content as JSON; BadAnswerError if it is none."""
        return parse(self.content, self.asked.shown)


class Refused(PartError):
    """It is not granted.  ``said``: the body's words, or nothing; ``location``: where it leads, or nothing."""

    def __init__(self, message: str, status: int, said: str = "", location: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.said = said
        self.location = location


class LostAnswer(TemporaryError):
    """No answer came to what is not to be asked twice: it may have been done, or not."""


class Door:
    """One of a session's ways out; safe to be used by several threads."""

    def __init__(self, http: Http, policy: RetryPolicy, api_url: str = "", key_from: str = "") -> None:
        """``api_url`` of the door to an API; the other one leads to any host.

        ``key_from``: where the API key was found that is sent, if that is known.
        """
        self.requests = 0
        """How many answers were asked for (retries not counted)."""
        self.received = 0
        """Bytes of these answers, decoded."""
        self.date = ""
        """When the last answer was made, as its head says; empty if it does not."""
        self._http = http
        self._policy = policy
        self._api_url = api_url
        self._key_from = key_from
        self._host = Host(place(api_url) or "where content is")

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def ask(self, asked: Asked) -> Answer:
        """The answer, asked for until it comes or the policy ends.

        Raises:
            Moved: it is elsewhere.
            NotFoundError: 404.
            CredentialsError: 401 or 403.
            LostAnswer: it did not come, and ``again`` is false.
            TemporaryError: no answer, or a server's error, after all attempts.
            Refused: any other refusal.
        """
        self._host.check(asked.shown)
        self.requests += 1
        try:
            return ask_again(lambda: self._once(asked), self._policy, self._host, asked.shown)
        except Missed as missed:
            kind = TemporaryError if asked.again or missed.unheard else LostAnswer
            raise kind(f"{missed}; {LATER}") from None

    def _once(self, asked: Asked) -> Answer:
        if self._http.allowed.refuses(asked.url):
            raise PartError(refusal(urlsplit(asked.url).hostname or ""))
        deadline = time.monotonic() + self._policy.total_timeout
        whom = self._api_url or "{0.scheme}://{0.netloc}".format(urlsplit(asked.url))
        try:
            with self._answer(asked) as answer:
                self._check(answer, whom, asked, deadline)
                content = read_body(answer, asked.most, deadline)
                self.received += len(content)
                self.date = answer.headers.get("date", "")
                return Answer(asked, answer.status_code, answer.headers, content)
        except TooLarge:
            raise BadAnswerError(f"{asked.shown}: an answer of more than {asked.most} bytes") from None
        except TooLate:
            # to try again would take as long
            raise Missed(
                f"{asked.shown}: no whole answer in {self._policy.total_timeout:.0f} seconds", again=False
            ) from None
        except _UNUSABLE as error:
            raise BadAnswerError(f"{asked.shown}: a URL that cannot be asked ({type(error).__name__})") from None
        except (requests.RequestException, HTTPError) as error:
            raise self._missed(error, asked, whom) from None

    def _missed(self, error: Exception, asked: Asked, whom: str) -> Missed:
        """What to make of an error, whose text can hold presigned URLs and is not passed on.

        Raises:
            SetupError: to ask again will not help.
        """
        host = place(asked.url)
        found = reason(error, host, proxy_for(asked.url))
        unheard = found.away or _is_unheard(error)
        message = f"{whom} did not answer {asked.shown}: {found.words}"
        return Missed(
            message, why=found.what, host=host, again=asked.again or unheard, unheard=unheard, away=found.away
        )

    @contextmanager
    def _answer(self, asked: Asked) -> Iterator[requests.Response]:
        """An answer while it is read; the log gets no query but that of the API, which is ours and has no secret."""
        begun, status = time.monotonic(), 0
        host = place(asked.url)
        timeout = (self._policy.connect_timeout, self._policy.read_timeout)
        body: Any = asked.body  # requests takes pieces of any kind
        try:
            with NOTICES.waiting(host):
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

    def _check(self, answer: requests.Response, whom: str, asked: Asked, deadline: float) -> None:
        status, shown = answer.status_code, asked.shown
        if status == 200 or (asked.method != "GET" and status in _DONE):
            return
        if status in REDIRECTED:
            if "location" in answer.headers:
                raise Moved(answer.headers["location"], status)
            raise PartError(f"{whom} sends {shown} elsewhere ({status}) and does not say where")
        if status == 407:
            raise wants_password(proxy_for(asked.url))
        said = detail(answer, deadline)
        if status in {404, 410}:
            raise NotFoundError(f"{whom} has no {shown} ({status}{said})")
        if status in {401, 403}:
            raise CredentialsError(self._refusal(whom, asked, status, said))
        if status in RETRIED:
            pause = retry_after(answer.headers.get("retry-after"))
            raise Missed(
                f"{whom} answers {shown} with {status}{said}", pause, why=f"it answers with {status}",
                again=asked.again or status == 429, unheard=status == 429,
            )  # fmt: skip
        if status >= 500:
            raise TemporaryError(f"{whom} answers {shown} with {status}{said}; {LATER}")
        words = said.removeprefix(": ").strip('"')
        raise Refused(f"{whom} answers {shown} with {status}{said}", status, words, answer.headers.get("location", ""))

    def _refusal(self, whom: str, asked: Asked, status: int, said: str) -> str:
        """Why a request is refused (401, 403), and what to type."""
        if not self._api_url:
            return f"{whom} refuses {asked.shown} ({status}{said}); the link to it may have expired"
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
        why = "it is embargoed" if asked.method == "GET" else "you may not change it"
        whose = f"; see whose API key is used: {login} --check" if has_key else f" without an API key: {login}"
        return f"{whom} refuses {asked.shown} ({status}{said}); {why}{whose}"


def _new_key(source: str, login: str) -> str:
    """How to replace an API key that was found there."""
    return f"put it into {source}, or unset that and run {login}" if source.endswith("_API_KEY") else login


def _is_unheard(error: Exception) -> bool:
    """Whether there was no connection on which to ask."""
    cause = error.args[0] if error.args else None
    return isinstance(error, requests.ConnectTimeout) or (
        isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)
    )
