"""One polite, bounded, patient HTTP session to an archive's API.

Retries, Retry-After and back-off are urllib3's.  What is read is bounded in bytes and in time; redirects are
not followed for API calls, so the token goes to the API's own origin and nowhere else.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from urllib.parse import urlencode, urlsplit

import orjson
import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from dandi_mirror import __version__
from dandi_mirror.archive.instances import LOOPBACK
from dandi_mirror.errors import BadAnswerError, CredentialsError, NotFoundError, PartError, TemporaryError

LOG = logging.getLogger("dandi_mirror")
LARGEST_ANSWER = 64 * 1024 * 1024  # bytes, decoded
PIECE = 1 << 18  # bytes
RETRIED = (429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to try."""

    attempts: int = 6
    """Requests for one answer, the first one included."""
    backoff: float = 0.5
    """Seconds before the second retry; doubled each time, with jitter, at most two minutes."""
    connect: float = 20.0
    """Seconds."""
    stall: float = 60.0
    """Seconds without a byte."""
    whole: float = 600.0
    """Seconds for one whole answer."""


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
        self._api = self._session(self._api_headers())
        # nothing of the API's session, its token least of all, is ever sent to where content is
        self._content = self._session({})

    def _session(self, headers: Mapping[str, str]) -> requests.Session:
        session = requests.Session()
        session.headers["User-Agent"] = f"dandi-mirror/{__version__}"
        session.headers.update(headers)
        # a .netrc entry would replace the token, or send one of its own
        session.auth = _no_auth
        retry = Retry(
            total=self._patience.attempts - 1,
            backoff_factor=self._patience.backoff,
            backoff_jitter=self._patience.backoff,
            status_forcelist=RETRIED,
            respect_retry_after_header=True,
            retry_after_max=300,
            raise_on_status=False,
        )
        for scheme in ("https://", "http://"):
            session.mount(scheme, HTTPAdapter(max_retries=retry, pool_connections=8, pool_maxsize=8))
        return session

    def _api_headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json"}
        if urlsplit(self.api_url).hostname in LOOPBACK:
            # on one machine, to compress costs more than to send
            headers["Accept-Encoding"] = "identity"
        if self._token:
            headers["Authorization"] = f"token {self._token}"
        return headers

    def close(self) -> None:
        """Close the connections."""
        self._api.close()
        self._content.close()

    def get(self, path: str, **query: str | int) -> object:
        """The JSON that the API answers at ``path`` (from its root, with a slash at its end).

        Raises:
            NotFoundError: 404.
            CredentialsError: 401 or 403.
            TemporaryError: no answer, or a server's error, after all attempts.
            BadAnswerError: an answer that is not JSON, or too large.
            PartError: any other refusal.
        """
        return parse(self.get_bytes(path, **query), path)

    def get_bytes(self, path: str, **query: str | int) -> bytes:
        """The bytes of an API answer; raises as :meth:`get` does, but for those about JSON."""
        url = f"{self.api_url}{path}" + (f"?{urlencode(query)}" if query else "")
        return self._read(self._api, url, path, redirects=False, most=LARGEST_ANSWER)

    def content(self, url: str, most: int) -> bytes:
        """The bytes at a content URL, without the token, following redirects; at most ``most`` bytes.

        Raises as :meth:`get` does.
        """
        return self._read(self._content, url, urlsplit(url).path, redirects=True, most=most)

    def _read(self, session: requests.Session, url: str, shown: str, *, redirects: bool, most: int) -> bytes:
        self.requests += 1
        for attempt in range(self._patience.attempts):
            try:
                with self._answer(session, url, shown, redirects) as answer:
                    self._check(answer, shown)
                    return self._body(answer, shown, most)
            except (requests.RequestException, ValueError) as error:
                # also a ValueError: requests takes the URL of a redirect apart that it does not follow.
                # The text of these errors can hold presigned URLs: it is not passed on
                reason = type(error).__name__
                cut_off = isinstance(error, requests.exceptions.ChunkedEncodingError | requests.ConnectionError)
                if not cut_off or attempt + 1 == self._patience.attempts or "Max retries" in str(error):
                    raise TemporaryError(
                        f"{self.api_url} did not answer {shown} ({reason}); run the command again later"
                    ) from None
                time.sleep(self._patience.backoff * 2**attempt)
        raise AssertionError("every attempt returns or raises")

    @contextmanager
    def _answer(self, session: requests.Session, url: str, shown: str, redirects: bool) -> Iterator[requests.Response]:
        """An answer while it is read; the log gets no query but that of the API, which is ours and has no secret."""
        begun, status = time.monotonic(), 0
        timeout = (self._patience.connect, self._patience.stall)
        try:
            with session.get(url, timeout=timeout, stream=True, allow_redirects=redirects) as answer:
                status = answer.status_code
                yield answer
        finally:
            asked = url.removeprefix(self.api_url) if session is self._api else shown
            LOG.debug("GET %s %s %.0f ms", asked, status or "no answer", (time.monotonic() - begun) * 1000)

    def _check(self, answer: requests.Response, shown: str) -> None:
        status = answer.status_code
        if status == 200:
            return
        said = _detail(answer)
        if status in {404, 410}:
            raise NotFoundError(f"{self.api_url} has no {shown} ({status}{said})")
        if status in {401, 403}:
            raise CredentialsError(
                f"{self.api_url} refuses {shown} ({status}{said}); it is embargoed, or the token is not valid"
            )
        if status in RETRIED or status >= 500:
            raise TemporaryError(f"{self.api_url} answers {shown} with {status}{said}; run the command again later")
        raise PartError(f"{self.api_url} answers {shown} with {status}{said}")

    def _body(self, answer: requests.Response, shown: str, most: int) -> bytes:
        deadline = time.monotonic() + self._patience.whole
        pieces: list[bytes] = []
        held = 0
        for piece in answer.iter_content(PIECE):
            held += len(piece)
            pieces.append(piece)
            if held > most:
                raise BadAnswerError(f"{shown}: an answer of more than {most} bytes")
            if time.monotonic() > deadline:
                raise TemporaryError(f"{shown}: no whole answer in {self._patience.whole:.0f} seconds")
        self.received += held
        return b"".join(pieces)


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _detail(answer: requests.Response) -> str:
    """What the API says of its refusal, in any of its six shapes, on one line."""
    try:
        raw = answer.raw.read(4096, decode_content=True)
        said = json.loads(raw)
    except Exception:
        return ""
    text = said.get("detail", said) if isinstance(said, dict) else said
    return f": {json.dumps(text, ensure_ascii=True)[:200]}" if text else ""


class Unwritable:
    """Stands for a number that JSON has no business to hold (NaN, Infinity, thousands of digits)."""


def parse(content: bytes, shown: str) -> object:
    """A JSON answer as a value.

    What orjson refuses (half surrogates, NaN) is read more patiently, so that one bad record does not hide
    the good ones beside it: such a value cannot be written canonically and its record is refused later.

    Raises:
        BadAnswerError: not JSON, or nested too deeply to be read.
    """
    try:
        value: object = orjson.loads(content)
        return value
    except orjson.JSONDecodeError:
        pass
    try:
        patient: object = json.loads(
            content, parse_constant=lambda _: Unwritable(), parse_int=_integer, parse_float=_float
        )
        return patient
    except (ValueError, RecursionError) as error:
        raise BadAnswerError(f"{shown}: an answer that is not JSON ({type(error).__name__})") from None


def _float(digits: str) -> object:
    return value if isfinite(value := float(digits)) else Unwritable()


def _integer(digits: str) -> object:
    return int(digits) if len(digits) < 400 else Unwritable()
