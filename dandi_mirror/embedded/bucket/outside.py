"""A bucket on another S3 server, which the archive reaches by presigned URLs alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from html import unescape
from urllib.parse import quote

import urllib3

from dandi_mirror.embedded.bucket import signing
from dandi_mirror.embedded.bucket.contents import PIECE
from dandi_mirror.embedded.bucket.objects import BUCKET, ListedObject

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
SECONDS = 3600
"""Seconds that the URLs of the archive's own requests are valid."""


class OutsideError(Exception):
    """The S3 server refuses a request or does not answer; its answer in one line."""


class OutsideBucket:
    """A bucket at ``endpoint`` (``http://127.0.0.1:8333``), addressed by path; made if the server does not have it.

    That server decides who may read it without a signature: it knows nothing of embargoes.
    """

    def __init__(self, endpoint: str, key: signing.Key, bucket: str = BUCKET) -> None:
        self.url = f"{endpoint.rstrip('/')}/{bucket}"
        self._key = key
        self._pool = urllib3.PoolManager(maxsize=8, timeout=urllib3.Timeout(60), retries=urllib3.Retry(3, redirect=0))
        if self._ask("HEAD", "", {}, missing=True) is None:
            self._ask("PUT", "", {})

    def presigned(
        self, method: str, key: str, query: Mapping[str, str], seconds: int, headers: Mapping[str, str] | None = None
    ) -> str:
        """A URL that lets its holder use ``key``; signed with the real time, not with the archive's clock."""
        now = datetime.now(UTC)
        url = f"{self.url}/{quote(key)}" if key else self.url
        return signing.presigned(self._key, method, url, query, headers or {}, now, seconds)

    def begin(self, key: str) -> str:
        """Begin an upload in parts; its id."""
        return _only("UploadId", self._said("POST", key, {"uploads": ""}))

    def abort(self, key: str, upload_id: str) -> None:
        """Forget an upload in parts, if there is one."""
        self._ask("DELETE", key, {"uploadId": upload_id}, missing=True)

    def stat(self, key: str) -> tuple[int, str] | None:
        """Size in bytes and ETag of an object; None if there is none."""
        found = self._ask("HEAD", key, {}, missing=True)
        return (int(found.headers["Content-Length"]), found.headers["ETag"].strip('"')) if found else None

    def read(self, key: str) -> Iterator[bytes]:
        """The bytes of an object, a piece at a time."""
        answer = self._pool.request("GET", self.presigned("GET", key, {}, SECONDS), preload_content=False)
        try:
            _check(answer, "GET", key)
            yield from answer.stream(PIECE)
        finally:
            answer.release_conn()

    def put(self, key: str, content: bytes) -> None:
        """Store an object in one part; its ETag differs from the one that the archive records."""
        self._ask("PUT", key, {}, content)

    def listing(self, prefix: str, after: str = "", most: int | None = None) -> list[ListedObject]:
        """As in :class:`~dandi_mirror.embedded.bucket.objects.Objects`."""
        found: list[ListedObject] = []
        query = {"list-type": "2", "prefix": prefix} | ({"start-after": after} if after else {})
        while True:
            page = self._said("GET", "", query)
            found += map(_listed, re.findall(r"<Contents>(.*?)</Contents>", page, re.DOTALL))
            if "<IsTruncated>true</IsTruncated>" not in page or (most is not None and len(found) >= most):
                return sorted(found)[:most]
            query["continuation-token"] = _only("NextContinuationToken", page)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; keys without an object do no harm."""
        for key in keys:
            self._ask("DELETE", key, {}, missing=True)

    def keep_versions(self) -> None:
        """Let the bucket keep every version of each object from now on."""
        body = f'<VersioningConfiguration xmlns="{_NAMESPACE}"><Status>Enabled</Status></VersioningConfiguration>'
        self._ask("PUT", "", {"versioning": ""}, body.encode())

    def _said(self, method: str, key: str, query: Mapping[str, str]) -> str:
        answer = self._ask(method, key, query)
        assert answer is not None
        return answer.data.decode()

    def _ask(
        self, method: str, key: str, query: Mapping[str, str], body: bytes = b"", *, missing: bool = False
    ) -> urllib3.BaseHTTPResponse | None:
        """The answer to one call; with ``missing``, None for a 404.

        Raises:
            OutsideError: any other status than 2xx, or no answer.
        """
        try:
            answer = self._pool.request(method, self.presigned(method, key, query, SECONDS), body=body or None)
        except urllib3.exceptions.HTTPError as error:
            raise OutsideError(f"{self.url}: {error}; is an S3 server running there?") from error
        if missing and answer.status == 404:
            return None
        _check(answer, method, key)
        return answer


def _check(answer: urllib3.BaseHTTPResponse, method: str, key: str) -> None:
    if not 200 <= answer.status < 300:
        said = " ".join(answer.data.decode(errors="replace").split())[:300]
        raise OutsideError(f"the S3 server answers {answer.status} to {method} of {key or 'the bucket'}: {said}")


def _listed(xml: str) -> ListedObject:
    when = datetime.fromisoformat(_only("LastModified", xml))
    return ListedObject(_only("Key", xml), int(_only("Size", xml)), _only("ETag", xml).strip('"'), when)


def _only(name: str, xml: str) -> str:
    """The text of the one element ``name``."""
    found = re.search(f"<{name}>(.*?)</{name}>", xml, re.DOTALL)
    if found is None:
        raise OutsideError(f"the S3 server's answer has no {name}: {xml[:300]}")
    return unescape(found[1])
