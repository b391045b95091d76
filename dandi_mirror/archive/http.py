"""One polite, bounded, patient HTTP session to an archive's API.

What is read is bounded in bytes and in time.  An answer that does not come is asked for again, later each time, and
not for ever; when the archive says when it wants to be asked again, nothing is asked before.  Redirects are not
followed for API calls, so the token goes to the API's own origin and nowhere else.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlencode, urljoin, urlsplit

import requests
from urllib3.exceptions import HTTPError

from dandi_mirror.archive.answers import TooLarge, TooLate, detail, parse, read_body
from dandi_mirror.archive.connections import Http, http_session
from dandi_mirror.archive.instances import LOOPBACK
from dandi_mirror.archive.patience import HOPS, LATER, REDIRECTED, RETRIED, Patience, retry_after
from dandi_mirror.errors import BadAnswerError, CredentialsError, MirrorError, NotFoundError, PartError, TemporaryError

LOG = logging.getLogger("dandi_mirror")
LARGEST_ANSWER = 64 * 1024 * 1024  # bytes, decoded
MISSED = 8
"""After so many answers in a row that did not come, for all patience, nothing more is asked for."""
_PAGE = 64 * 1024  # bytes of a page that is no redirect; it is not used


class _Missed(Exception):
    """An answer did not come.  ``pause``: seconds that the archive asks to wait; ``again``: whether to ask again."""

    def __init__(self, message: str, pause: float = 0.0, *, again: bool = True) -> None:
        super().__init__(message)
        self.pause = pause
        self.again = again


class _Moved(PartError):
    """It is at another URL, which is what this says; ``status`` is the answer's."""

    def __init__(self, location: str, status: int) -> None:
        super().__init__(location)
        self.status = status


@dataclass(slots=True)
class _Door:
    """One of the two ways out: its connections, and how it went there."""

    http: Http
    missed: int = 0
    """Answers in a row that did not come."""
    resume: float = 0.0
    """The moment, of :func:`time.monotonic`, before which it wants no request."""


class Session:
    """Requests to one API; safe to be used by several threads."""

    def __init__(self, api_url: str, token: str | None = None, patience: Patience | None = None) -> None:
        self.api_url = api_url
        self.requests = 0
        """How many answers were asked for (retries not counted)."""
        self.received = 0
        """Bytes of these answers, decoded."""
        self._token = token
        self._patience = patience or Patience()
        self._api = _Door(http_session(self._api_headers()))
        # nothing of the API's session, its token least of all, is ever sent to where content is
        self._content = _Door(http_session({}))

    def _api_headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json"}
        if urlsplit(self.api_url).hostname in LOOPBACK:
            # on one machine, to compress costs more than to send
            headers["Accept-Encoding"] = "identity"
        if self._token:
            headers["Authorization"] = f"token {self._token}"
        return headers

    @property
    def has_token(self) -> bool:
        """Whether the API is told who asks."""
        return bool(self._token)

    def close(self) -> None:
        """Close the connections."""
        self._api.http.close()
        self._content.http.close()

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
        try:
            content = self._read(self._api, url, path, LARGEST_ANSWER)
            try:
                return parse(content, path)
            except BadAnswerError:
                # half an answer, or a page of something in between: seldom so a second time
                time.sleep(self._patience.pause(1))
                return parse(self._read(self._api, url, path, LARGEST_ANSWER), path)
        except _Moved as moved:
            # not repeated: where it leads may be signed
            raise PartError(
                f"{self.api_url} sends {path} elsewhere ({moved.status}), which is not followed; "
                "is it still the API's URL?"
            ) from None

    def content(self, url: str, most: int) -> bytes:
        """The bytes at a content URL, following redirects; at most ``most`` bytes.

        The token goes to the API's own URLs only, not to what they lead to.  Raises as :meth:`get` does.
        """
        door = self._api if self._token and self._is_own(url) else self._content
        for _ in range(HOPS):
            shown = urlsplit(url).path
            try:
                return self._read(door, url, shown, most)
            except _Moved as moved:
                url, door = self._followed(url, str(moved)), self._content
        raise BadAnswerError(f"{shown}: more than {HOPS} redirects")

    def leads_to(self, url: str) -> str:
        """Where a link leads by a redirect, which is not asked for; empty if it leads nowhere.

        Raises as :meth:`get` does.
        """
        try:
            self._read(self._content, url, urlsplit(url).path, _PAGE)
        except _Moved as moved:
            with suppress(ValueError):
                return urljoin(url, str(moved))
        except BadAnswerError:
            pass  # a page, and a large one
        return ""

    def _is_own(self, url: str) -> bool:
        return url.startswith(f"{self.api_url}/")

    def _followed(self, url: str, location: str) -> str:
        """Where a redirect leads; plain http only where the API, too, is on this machine.

        Raises:
            BadAnswerError: nowhere that is to be asked.
        """
        shown = urlsplit(url).path
        try:
            there = urljoin(url, location)
            parts = urlsplit(there)
        except ValueError:
            raise BadAnswerError(f"{shown}: a redirect that leads nowhere") from None
        plain = parts.hostname in LOOPBACK and urlsplit(self.api_url).hostname in LOOPBACK
        if not parts.hostname or parts.scheme not in ({"https", "http"} if plain else {"https"}):
            raise BadAnswerError(f"{shown}: a redirect to what is not https")
        return there

    def _read(self, door: _Door, url: str, shown: str, most: int) -> bytes:
        """The bytes of an answer, asked for until it comes or patience ends."""
        if door.missed >= MISSED:
            raise TemporaryError(f"{shown} is not asked for: no answer to the {MISSED} requests before it; {LATER}")
        self.requests += 1
        for attempt in range(1, self._patience.attempts + 1):
            self._wait(door, shown)
            try:
                content = self._once(door, url, shown, most)
                door.missed = 0
                return content
            except MirrorError as error:
                # to be sent elsewhere says nothing of what is there
                door.missed = door.missed if isinstance(error, _Moved) else 0
                raise
            except _Missed as missed:
                door.resume = max(door.resume, time.monotonic() + missed.pause)
                last = attempt == self._patience.attempts or missed.pause > self._patience.longest
                if last or not missed.again:
                    door.missed += 1
                    raise TemporaryError(f"{missed}; {LATER}") from None
                time.sleep(0 if missed.pause else self._patience.pause(attempt))
        raise AssertionError("every attempt returns or raises")

    def _wait(self, door: _Door, shown: str) -> None:
        """Wait until it wants to be asked again, which it may have told another thread."""
        pause = door.resume - time.monotonic()
        if pause > self._patience.longest:
            raise TemporaryError(f"{shown} is not asked for: no request is wanted for {pause:.0f} seconds; {LATER}")
        if pause > 0:
            time.sleep(pause + random.uniform(0, self._patience.backoff))

    def _once(self, door: _Door, url: str, shown: str, most: int) -> bytes:
        deadline = time.monotonic() + self._patience.whole
        whom = self.api_url if door is self._api else "{0.scheme}://{0.netloc}".format(urlsplit(url))
        try:
            with self._answer(door, url, shown) as answer:
                self._check(answer, whom, shown, deadline)
                content = read_body(answer, most, deadline)
                self.received += len(content)
                return content
        except TooLarge:
            raise BadAnswerError(f"{shown}: an answer of more than {most} bytes") from None
        except TooLate:
            # to try again would take as long
            raise _Missed(f"{shown}: no whole answer in {self._patience.whole:.0f} seconds", again=False) from None
        except ValueError as error:
            raise BadAnswerError(f"{shown}: a URL that cannot be asked ({type(error).__name__})") from None
        except (requests.RequestException, HTTPError) as error:
            # the text of these errors can hold presigned URLs: it is not passed on
            raise _Missed(f"{whom} did not answer {shown} ({type(error).__name__})") from None

    @contextmanager
    def _answer(self, door: _Door, url: str, shown: str) -> Iterator[requests.Response]:
        """An answer while it is read; the log gets no query but that of the API, which is ours and has no secret."""
        begun, status = time.monotonic(), 0
        timeout = (self._patience.connect, self._patience.stall)
        try:
            with door.http.get(url, timeout=timeout, stream=True) as answer:
                status = answer.status_code
                yield answer
        finally:
            asked = url.removeprefix(self.api_url) if door is self._api else shown
            LOG.debug("GET %s %s %.0f ms", asked, status or "no answer", (time.monotonic() - begun) * 1000)

    def _check(self, answer: requests.Response, whom: str, shown: str, deadline: float) -> None:
        status = answer.status_code
        if status == 200:
            return
        if status in REDIRECTED:
            if "location" in answer.headers:
                raise _Moved(answer.headers["location"], status)
            raise PartError(f"{whom} sends {shown} elsewhere ({status}) and does not say where")
        said = detail(answer, deadline)
        if status in {404, 410}:
            raise NotFoundError(f"{whom} has no {shown} ({status}{said})")
        if status in {401, 403}:
            raise CredentialsError(
                f"{whom} refuses {shown} ({status}{said}); it is embargoed, or the token is not valid"
            )
        if status in RETRIED:
            raise _Missed(f"{whom} answers {shown} with {status}{said}", retry_after(answer.headers.get("retry-after")))
        if status >= 500:
            raise TemporaryError(f"{whom} answers {shown} with {status}{said}; {LATER}")
        raise PartError(f"{whom} answers {shown} with {status}{said}")
