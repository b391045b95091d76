"""Pages of S3's lists, read as they stand."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlencode
from xml.etree import ElementTree

import requests

NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"
_SHOWN = ("Version", "DeleteMarker", "Contents", "CommonPrefixes")


def shown(text: str) -> list[dict[str, str]]:
    """The versions, delete markers and folders of a page, in its order: element → text, its own name under ``""``."""
    found = []
    for element in ElementTree.fromstring(text):
        kind = element.tag.removeprefix(NAMESPACE)
        if kind in _SHOWN:
            found.append({"": kind} | {child.tag.removeprefix(NAMESPACE): child.text or "" for child in element})
    return found


def value(text: str, name: str) -> str:
    """The text of one element beside the entries."""
    return ElementTree.fromstring(text).findtext(NAMESPACE + name) or ""


def page(bucket_url: str, **query: object) -> str:
    """One page, asked for without a signature."""
    answer = requests.get(f"{bucket_url}?{urlencode(query)}")
    assert answer.status_code == 200, answer.text
    return answer.text


def versions(bucket_url: str, **query: object) -> Iterator[dict[str, str]]:
    """What all pages of ``?versions`` show."""
    query = {"versions": "", **query}
    while True:
        text = page(bucket_url, **query)
        yield from shown(text)
        if value(text, "IsTruncated") == "false":
            return
        query["key-marker"] = value(text, "NextKeyMarker")
        query["version-id-marker"] = value(text, "NextVersionIdMarker")
