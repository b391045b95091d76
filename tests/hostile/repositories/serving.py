"""Who asks ``dandi-mirror serve``: a thread of its own process, so that what it makes the server open is traced."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
import urllib.request
from contextlib import suppress
from typing import Any

from tests.hostile.repositories.stage import DANDISET, MARKER

ADDRESS = re.compile(r"^(http://127\.0\.0\.1:([0-9]+)/api)$", re.MULTILINE)
"""What the server prints first: its address, with its port."""
_TIME = 100.0  # seconds for all requests
_LISTS = ("dandisets/", "dandisets/{id}/", "dandisets/{id}/versions/", "zarr/", "stats/",
          "dandisets/{id}/versions/draft/info/", "dandisets/{id}/versions/draft/",
          "dandisets/{id}/versions/draft/assets/?metadata=true", "dandisets/{id}/versions/draft/assets/paths/",
          "dandisets/{id}/versions/draft/assets/?path=../../victim")  # fmt: skip
_EACH = ("assets/{asset}/", "assets/{asset}/download/", "assets/{asset}/info/", "zarr/{zarr}/",
         "zarr/{zarr}/files/", "zarr/{zarr}/files/?prefix=0/0&download=true")  # fmt: skip


def ask_and_end() -> None:
    """Ask the server of this process everything once it listens, and then interrupt it as Ctrl-C does."""
    threading.Thread(target=_ask, daemon=True).start()


def _ask() -> None:
    end = time.monotonic() + _TIME
    while not (found := ADDRESS.search(os.pread(1, 4096, 0).decode(errors="replace"))):
        time.sleep(0.05)
    ids: list[dict[str, str]] = []
    for path in _LISTS:
        ids += _ids(_answer(f"{found[1]}/{path.format(id=DANDISET)}", end))
    for path in _EACH:
        for one in ids[:20]:
            with suppress(KeyError):
                _answer(f"{found[1]}/{path.format(**one)}", end)
    os.kill(os.getpid(), signal.SIGINT)


def _answer(url: str, end: float) -> bytes:
    """The body of an answer; printed if a secret is in it."""
    body = b""
    with suppress(OSError, ValueError):
        opener = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=max(0.1, end - time.monotonic())) as answer:
            body = answer.read(1 << 20)
    if MARKER.encode() in body:
        os.write(1, body)
    return body


def _ids(body: bytes) -> list[dict[str, str]]:
    """The ids of assets and Zarrs that an answer lists."""
    with suppress(ValueError, TypeError, AttributeError):
        rows: list[Any] = json.loads(body).get("results", [])
        names = {"asset": "asset_id", "zarr": "zarr_id"}
        return [{name: str(row[key]) for name, key in names.items() if row.get(key)} for row in rows]
    return []


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follow no redirect: who asks would do that, and not the server."""
