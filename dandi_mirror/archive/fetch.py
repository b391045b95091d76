"""One file from the archive to the disk, resumed where it broke off: the API is asked where it is, then it is read."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import requests
from urllib3.exceptions import HTTPError

from dandi_mirror.archive.http import Session
from dandi_mirror.archive.patience import LATER, RETRIED
from dandi_mirror.errors import DiskError, NotFoundError, PartError, TemporaryError

ATTEMPTS = 5
"""Requests in a row that may bring nothing."""
PIECE = 1 << 20
"""Bytes read at a time."""
_RANGE = re.compile(r"bytes ([0-9]+)-.*")


class _BrokenOff(Exception):
    """It did not come, or not to its end; what is there is kept."""


def fetch(session: Session, url: str, target: Path, size: int, progress: Callable[[int], None]) -> None:
    """Bring the ``size`` bytes at one of the API's content URLs to ``target``; what is there already is kept.

    ``progress`` is called with the bytes that are there.  The digest is for the caller to check.

    Raises:
        NotFoundError, CredentialsError: the API has it not, or not for this token.
        TemporaryError: it does not come to its end, after some attempts.
        PartError: there is more of it than ``size``.
        DiskError: it cannot be written.
    """
    target.touch()
    failures = 0
    while (have := target.stat().st_size) != size:
        try:
            # asked for anew each time: a signed URL expires
            _go_on(session, session.location(url), target, have if have < size else 0, size, progress)
        except _BrokenOff as error:
            failures = 0 if target.stat().st_size > have else failures + 1
            if failures >= ATTEMPTS:
                raise TemporaryError(f"{url.removeprefix(session.api_url)}: {error}; {LATER}") from None
            time.sleep(0.5 * 2**failures if failures else 0)


def is_there(session: Session, url: str) -> bool:
    """Whether the content at one of the API's URLs can be read; raises as :func:`fetch` does."""
    try:
        with session.opened(session.location(url), 0) as answer:
            if answer.status_code in RETRIED:
                raise TemporaryError(f"its store answers with {answer.status_code}; {LATER}")
            return answer.status_code == 200
    except NotFoundError:
        return False
    except (requests.RequestException, HTTPError) as error:
        raise TemporaryError(f"its store does not answer ({type(error).__name__}); {LATER}") from None


def _go_on(session: Session, place: str, target: Path, have: int, size: int, progress: Callable[[int], None]) -> None:
    try:
        with session.opened(place, have) as answer:
            have = _start(answer, have)
            with _writing(target, have) as file:
                for piece in answer.iter_content(PIECE):
                    have += len(piece)
                    if have > size:
                        raise PartError(f"its store gives more than its {size} bytes")
                    file.write(piece)
                    progress(have)
    except (requests.RequestException, HTTPError) as error:
        # the text of these errors can hold signed URLs: it is not passed on
        raise _BrokenOff(f"its store broke off ({type(error).__name__})") from None
    except OSError as error:
        raise DiskError.of(target, error) from None
    if have < size:
        raise _BrokenOff(f"its store gives {have} of its {size} bytes")


def _start(answer: requests.Response, have: int) -> int:
    """From which byte on the answer is."""
    if answer.status_code == 206:
        found = _RANGE.fullmatch(answer.headers.get("content-range", ""))
        if found and int(found[1]) == have:
            return have
        raise _BrokenOff("its store gives another part than was asked for")
    if answer.status_code == 200:
        return 0
    if answer.status_code == 404:
        raise NotFoundError("its store has it no more (404)")
    raise _BrokenOff(f"its store answers with {answer.status_code}")


def _writing(target: Path, have: int):  # type: ignore[no-untyped-def]
    """The file, open behind the bytes that stay."""
    file = target.open("r+b")
    file.truncate(have)
    file.seek(have)
    return file
