"""Where a file can be looked at or read from without downloading it: pure."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

NWB_EXPLORER = "http://nwbexplorer.opensourcebrain.org/nwbfile="
NEUROSIFT = "https://neurosift.app/nwb?"
LARGEST_EXPLORED = 1_000_000_000
"""Bytes that NWB Explorer takes, as the archive's own pages have it."""


def links(path: str, size: int | None, urls: Sequence[str], dandiset: str, version: str) -> dict[str, str]:
    """Links of a file by what they are of: ``s3``, ``api``, and of an NWB file ``neurosift`` and ``nwbexplorer``.

    ``urls`` are where its content is: S3's, if it is known, before the API's.
    """
    api = next((url for url in urls if "/assets/" in url), "")
    s3 = next((url for url in urls if "/assets/" not in url), "")
    found = {"s3": s3, "api": api}
    if path.endswith(".nwb") and urls:
        # the API's URL, so that embargoed files can be looked at by whoever may
        query = {"url": api or s3, "dandisetId": dandiset, "dandisetVersion": version}
        found["neurosift"] = NEUROSIFT + urlencode({name: value for name, value in query.items() if value}, safe=":/")
        if size is not None and size <= LARGEST_EXPLORED:
            found["nwbexplorer"] = NWB_EXPLORER + (s3 or api)
    return {name: url for name, url in found.items() if url}
