"""Presigned URLs by AWS Signature Version 4.  Pure.

Source: "Authenticating Requests: Using Query Parameters" of the S3 API reference.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode, urlsplit

STAMP = "%Y%m%dT%H%M%SZ"
SIGNATURE = "X-Amz-Signature"


@dataclass(frozen=True, slots=True)
class Key:
    """An access key of S3, and its region."""

    access: str
    secret: str
    region: str = "us-east-1"


def presigned(
    key: Key,
    method: str,
    url: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    now: datetime,
    seconds: int,
) -> str:
    """Add a query to ``url`` that lets its holder use it with one method, for ``seconds`` from ``now`` on.

    ``headers`` (lower-case names, without ``host``) must then be sent with these values.
    """
    parts = urlsplit(url)
    signed = {**headers, "host": parts.netloc}
    made = {
        **query,
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{key.access}/{now.astimezone(UTC):%Y%m%d}/{key.region}/s3/aws4_request",
        "X-Amz-Date": now.astimezone(UTC).strftime(STAMP),
        "X-Amz-Expires": str(seconds),
        "X-Amz-SignedHeaders": ";".join(sorted(signed)),
    }
    made[SIGNATURE] = signature(key, method, parts.path, made, signed)
    return f"{url}?{urlencode(made, quote_via=quote, safe='')}"


def is_signed(key: Key, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> bool:
    """Whether a request (``path`` as in the URL, quoted) is signed with ``key``, including its headers."""
    names = query.get("X-Amz-SignedHeaders", "").split(";")
    sent = {name: " ".join(headers.get(name, "").split()) for name in names}
    try:
        wanted = signature(key, method, path, query, sent)
    except (KeyError, ValueError):
        return False
    return hmac.compare_digest(wanted, query.get(SIGNATURE, ""))


def has_expired(query: Mapping[str, str], now: datetime) -> bool:
    """Whether a presigned URL has expired; true also if it names no time."""
    try:
        signed = datetime.strptime(query["X-Amz-Date"], STAMP).replace(tzinfo=UTC)
        return now > signed + timedelta(seconds=int(query["X-Amz-Expires"]))
    except (KeyError, ValueError, OverflowError):
        return True


def signature(key: Key, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> str:
    """The signature of a request; it does not cover a signature in ``query``."""
    rest = sorted((quote(k, safe=""), quote(v, safe="")) for k, v in query.items() if k != SIGNATURE)
    lines = [
        method,
        path,
        "&".join(f"{name}={value}" for name, value in rest),
        *(f"{name}:{headers[name]}" for name in sorted(headers)),
        "",
        ";".join(sorted(headers)),
        "UNSIGNED-PAYLOAD",
    ]
    request = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    scope = query["X-Amz-Credential"].partition("/")[2]
    text = "\n".join(["AWS4-HMAC-SHA256", query["X-Amz-Date"], scope, request])
    secret = f"AWS4{key.secret}".encode()
    for word in scope.split("/"):
        secret = hmac.digest(secret, word.encode(), "sha256")
    return hmac.digest(secret, text.encode(), "sha256").hex()
