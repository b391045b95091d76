"""The URLs of files: where their content can be downloaded, and where it can be viewed in a browser."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlencode

from dandi_mirror.addresses import Allowed, refuse_url
from dandi_mirror.mirror.contents.files import Contents, VersionFile
from dandi_mirror.mirror.format.admission import ContentHosts
from dandi_mirror.repo.annex.keys import hash_dir_lower
from dandi_mirror.repo.annex.logs import present, url_path

NWB_EXPLORER = "http://nwbexplorer.opensourcebrain.org/nwbfile="
NEUROSIFT = "https://neurosift.app/nwb?"
LARGEST_EXPLORED = 1_000_000_000
"""Bytes; NWB Explorer takes no larger file, according to the archive's web pages."""


def links(path: str, size: int | None, urls: Sequence[str], dandiset: str, version: str) -> dict[str, str]:
    """Return the links of a file: ``s3``, ``api``, and for an NWB file ``neurosift`` and ``nwbexplorer``.

    ``urls`` are the URLs of its content: that at S3 first, if it is known, then that of the API.
    """
    api = next((url for url in urls if _is_api(url)), "")
    s3 = next((url for url in urls if not _is_api(url)), "")
    found = {"s3": s3, "api": api}
    if path.endswith(".nwb") and urls:
        # the API's URL, so that people with permission can view embargoed files, too
        query = {"url": api or s3, "dandisetId": dandiset, "dandisetVersion": version}
        found["neurosift"] = NEUROSIFT + urlencode({name: value for name, value in query.items() if value}, safe=":/")
        if size is not None and size <= LARGEST_EXPLORED:
            found["nwbexplorer"] = NWB_EXPLORER + (s3 or api)
    return {name: url for name, url in found.items() if url}


def _is_api(url: str) -> bool:
    """Whether a URL of content is the API's: of an asset, or of a file of a Zarr."""
    return "/assets/" in url or "/files/?" in url


def urls(contents: Contents, hosts: ContentHosts) -> dict[str, tuple[str, ...]]:
    """Return the URLs of each file's content, by path: that at S3 if it is known, then that of the API.

    A URL that git-annex knows counts only if the archive could have given it: anybody may have added others.
    """
    found: dict[str, tuple[str, ...]] = {}
    logs = _url_logs(contents)
    for file in contents.files:
        live = [url for url in logs.get(file.path, [file.url] if file.url else []) if _may_be_used(url, hosts)]
        own = f"/assets/{file.asset_id}/"
        first = [url for url in live if "/assets/" not in url]
        api = [url for url in live if own in url] or [f"{hosts.instance.api_url}{path}" for path in _api_paths(file)]
        found[file.path] = (*first, *api)
    return found


def _may_be_used(url: str, hosts: ContentHosts) -> bool:
    """Whether the archive could have given a URL, or nobody may ask it: then whoever wants the content is told why."""
    return hosts.admits(url) or refuse_url(url, Allowed()) is not None


def _api_paths(file: VersionFile) -> Iterator[str]:
    """Yield the API's paths to the content of a file, below its root."""
    if file.entry:
        yield f"/zarr/{file.zarr}/files/?{urlencode({'download': 'true', 'prefix': file.entry})}"
    elif file.asset_id:
        yield f"/assets/{file.asset_id}/download/"


def _url_logs(contents: Contents) -> dict[str, list[str]]:
    """Return the URLs that git-annex records for each annexed file, by path."""
    dataset = contents.dataset
    if not dataset:
        return {}
    branch = dataset.ref("refs/heads/git-annex") or dataset.ref("refs/remotes/origin/git-annex")
    keys = {file.path: key for file in contents.files if (key := file.key) and not file.oid} if branch else {}
    with dataset.reader() as reader:
        logs = reader.read([f"{branch}:{url_path(hash_dir_lower(key), key)}" for key in keys.values()])
        found = zip(keys, [present(log or b"") for log in logs], strict=True)
        return {path: sorted(url for url, there in log.items() if there) for path, log in found}
