"""Every fault of an upload: each ends as the table in ``docs/faults.md`` says, and no asset is there twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import product
from math import inf
from pathlib import Path
from typing import Any

import pytest
import requests

from dandi_mirror.archive.http.retry import RetryPolicy
from dandi_mirror.archive.http.session import Session
from dandi_mirror.digests import dandi_etag
from dandi_mirror.embedded import Archive, serve
from dandi_mirror.errors import MirrorError
from dandi_mirror.upload.change.register import AssetChange, Unregistered, register_assets
from dandi_mirror.upload.send.send_files import send_blobs
from dandi_mirror.upload.send.types import Sent, SourceFile, Unsent
from tests.support import kinds
from tests.support import putting as uploading
from tests.support.proxy import Exchange, Fault, Proxy, proxy_of
from tests.support.sending import DANDISET, TOKEN, own_archive

STALL = 0.4
STEADY = RetryPolicy(attempts=2, backoff=0.1)
QUICK = RetryPolicy(attempts=2, backoff=0.1, read_timeout=STALL)
"""For the fault that is a matter of time."""
CONTENT = bytes(range(256)) * 2000
PATH = "sub-1/a.nwb"


def stall(exchange: Exchange) -> None:
    """Nothing is read, nothing is said."""
    exchange.gone()
    raise ConnectionAbortedError


def lost(exchange: Exchange) -> None:
    """What is asked for is done, and nobody says so."""
    exchange.answer()
    exchange.reset()


def cut_off(exchange: Exchange) -> None:
    """The same, and half of the answer comes."""
    head, body = exchange.answer()
    exchange.client.sendall((head + body)[: len(head) + len(body) // 2 if body else 7])
    raise ConnectionAbortedError


def wrong_etag(exchange: Exchange) -> None:
    head, body = exchange.answer()
    spoilt = b"0" * 32
    lines = [b'etag: "' + spoilt + b'"' if line.lower().startswith(b"etag:") else line for line in head.split(b"\r\n")]
    before, tag, after = body.partition(b"<ETag>&#34;")
    exchange.client.sendall(b"\r\n".join(lines) + (before + tag + spoilt + after[32:] if tag else body))


def expired(exchange: Exchange) -> None:
    exchange.send("403 Forbidden", b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")


def unavailable(exchange: Exchange) -> None:
    exchange.send("503 Service Unavailable", b"<!doctype html><title>503</title>", content_type="text/html")


def revoked(exchange: Exchange) -> None:
    exchange.send("401 Unauthorized", b'{"detail": "Invalid token."}')


def second_uploader(exchange: Exchange) -> None:
    """Somebody else brings the same bytes to the same path, once, and this is answered after that."""
    if exchange.proxy.struck == 1:
        _bring_all(exchange)
    head, body = exchange.answer()
    exchange.client.sendall(head + body)


def _bring_all(exchange: Exchange) -> None:
    direct = f"http://127.0.0.1:{exchange.proxy.upstream[1]}/api"
    begun = requests.post(f"{direct}/uploads/initialize/", json=_wanted(), headers=_TOKEN)
    if begun.status_code == 200:
        server = _Direct(direct)
        uploading.complete(server, begun.json(), uploading.put_parts(begun.json(), CONTENT))  # type: ignore[arg-type]
        blob = uploading.validate(server, begun.json()).json()["blob_id"]  # type: ignore[arg-type]
    else:
        blob = begun.headers["location"]
    body = {"metadata": _metadata(), "blob_id": blob}
    requests.post(f"{direct}/dandisets/{DANDISET}/versions/draft/assets/", json=body, headers=_TOKEN)


_TOKEN = {"Authorization": f"token {TOKEN}"}


@dataclass(frozen=True, slots=True)
class _Direct:
    api_url: str


def _wanted() -> dict[str, Any]:
    digest = {"algorithm": "dandi:dandi-etag", "value": dandi_etag(CONTENT)}
    return {"dandiset": DANDISET, "contentSize": len(CONTENT), "digest": digest}


def _metadata() -> dict[str, object]:
    return {"path": PATH, "schemaKey": "Asset", "schemaVersion": "0.7.0", "encodingFormat": "application/x-nwb"}


FAULTS: Mapping[str, Fault] = {
    "connection refused": kinds.refused,
    "connection reset": kinds.reset,
    "stall": stall,
    "500": kinds.error,
    "503 with HTML": unavailable,
    "403 expired": expired,
    "answer lost": lost,
    "answer cut off": cut_off,
    "wrong etag": wrong_etag,
    "token revoked": revoked,
    "second uploader": second_uploader,
}
TARGETS: Mapping[str, Callable[[Exchange], bool]] = {
    "begin": lambda asked: asked.path.endswith("/initialize/"),
    "part": lambda asked: asked.method == "PUT" and asked.path.startswith("/dandi-dandisets/"),
    "end, API": lambda asked: asked.path.endswith("/complete/"),
    "end, S3": lambda asked: asked.method == "POST" and asked.path.startswith("/dandi-dandisets/"),
    "blob": lambda asked: asked.path.endswith("/validate/"),
    "asset": lambda asked: asked.method == "POST" and asked.path.endswith("/assets/"),
}


def _read_table() -> dict[str, list[str]]:
    page = (Path(__file__).parents[2] / "docs" / "faults.md").read_text().split("## Uploads")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")]
    assert rows[0][1:-1] == list(TARGETS)
    return {row[0]: row[1:] for row in rows[2:]}


TABLE = _read_table()


def _cells() -> Iterator[object]:
    """The whole grid; every fault and every target, staying and once, is in the part that is not slow."""
    for place, ((name, row), times) in enumerate(product(TABLE.items(), (inf, 1))):
        for column, (target, cell) in enumerate(zip(TARGETS, row[:-1], strict=True)):
            if cell != "–":
                marks = [] if (place // 2 + column) % 2 == 0 or "–" in row else [pytest.mark.slow]
                yield pytest.param(name, target, times, marks=marks, id=f"{name} at {target}, {times}")


@dataclass(frozen=True, slots=True)
class Place:
    archive: Archive
    proxy: Proxy
    heads: list[bytes]
    """Of all requests."""

    def upload(self, folder: Path, patience: RetryPolicy = STEADY) -> MirrorError | None:
        """Send and register the file; why it failed."""
        file = folder / "a.nwb"
        file.write_bytes(CONTENT)
        source = SourceFile(file, PATH, DANDISET)
        try:
            with closing(Session(self.proxy.api_url, TOKEN, patience)) as session:
                [sent] = send_blobs(session, [source], folder / "state", jobs=2)
                if isinstance(sent, Unsent):
                    return sent.error
                assert isinstance(sent, Sent)
                [done] = register_assets(session, DANDISET, [AssetChange(_metadata(), sent.blob)])
                return done.error if isinstance(done, Unregistered) else None
        except MirrorError as error:
            return error


@pytest.fixture
def place() -> Iterator[Place]:
    archive = own_archive()
    with serve(archive) as server, proxy_of(server) as proxy:
        archive.at(proxy.origin)
        yield Place(archive, proxy, [])


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(("name", "target", "times"), list(_cells()))
def test_a_fault_of_an_upload_ends_as_the_table_says(
    place: Place, tmp_path: Path, name: str, target: str, times: float
) -> None:
    fault = kinds.refused_once if (name, times) == ("connection refused", 1) else FAULTS[name]

    def choose(asked: Exchange) -> Fault | None:
        place.heads.append(asked.head)
        return fault if place.proxy.struck < times and TARGETS[target](asked) else None

    place.proxy.choose = choose
    error = place.upload(tmp_path, QUICK if name == "stall" else STEADY)
    assert place.proxy.struck > 0
    codes = TABLE[name][list(TARGETS).index(target)].split(", ")
    assert (error.exit_code if error else 0) == int(codes[times == 1]), error
    if error:
        assert TABLE[name][-1].strip("`") in str(error)
        assert "X-Amz" not in str(error) and TOKEN not in str(error)
        place.proxy.choose = lambda asked: None
        place.proxy.up()
        assert place.upload(tmp_path) is None, "the next run completes it"
    [asset] = place.archive.dandisets[DANDISET].draft
    assert asset.path == PATH
    [blob] = place.archive.blobs.values()
    assert b"".join(place.archive.bucket.read(blob.key)) == CONTENT
    assert all(head.split(b" ")[1].startswith(b"/api/") for head in place.heads if TOKEN.encode() in head)


def test_the_table_has_a_row_for_each_fault() -> None:
    assert list(TABLE) == list(FAULTS)
