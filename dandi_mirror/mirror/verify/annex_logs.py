"""Check the git-annex branch: each key of the records has its logs, and these name only hosts of the archive."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from dandi_mirror.mirror.format.admission import ContentHosts
from dandi_mirror.mirror.format.log_changes import KeyLogs
from dandi_mirror.mirror.verify.differences import Difference, DifferenceKind
from dandi_mirror.repo.annex import logs
from dandi_mirror.repo.git.dataset import ANNEX, Dataset, Tree
from dandi_mirror.repo.git.reader import ObjectReader

_AT_ONCE = 4096
"""Logs that are in memory at a time."""
LINE = re.compile(rb"[0-9]{1,11}(?:\.[0-9]{1,12})?s [01X] [^\n]+")
"""A line of a location or URL log."""
_LOCATION, _URLS = ".log", ".log.web"


def check_logs(
    dataset: Dataset, reader: ObjectReader, uses: Mapping[str, set[str]], hosts: ContentHosts
) -> Iterator[Difference]:
    """The differences between the logs and the records; ``uses`` has the ids of the assets that have each key."""
    tree = dataset.tree(ANNEX)
    yield from _check_missing(tree, uses)
    keys = {path: key for key in uses for path in KeyLogs.of(key).paths[:2]}
    names = [path for path in tree if path.endswith((_LOCATION, _URLS)) and path.count("/") == 2]
    for start in range(0, len(names), _AT_ONCE):
        group = names[start : start + _AT_ONCE]
        for path, content in zip(group, reader.read([tree[path][1] for path in group]), strict=True):
            what = _what(path, content or b"", uses.get(keys.get(path, ""), set()), hosts)
            if what:
                yield Difference(DifferenceKind.LOG, path, what)
    yield from _check_remotes(tree, reader, hosts)


def _check_missing(tree: Tree, uses: Mapping[str, set[str]]) -> Iterator[Difference]:
    for key in sorted(uses):
        found = KeyLogs.of(key)
        for path, what in ((found.location, "the location log"), (found.urls, "the URL log")):
            if path not in tree:
                yield Difference(DifferenceKind.LOG, path, f"{what} of a key is missing")


def _what(path: str, content: bytes, assets: set[str], hosts: ContentHosts) -> str:
    """What is wrong with a log; empty if nothing is.  ``assets`` are the assets that have its key."""
    lines = content.split(b"\n")
    if not content.endswith(b"\n") or not all(map(LINE.fullmatch, lines[:-1])):
        return "a line of the log cannot be read"
    here = {what for what, there in logs.present(content).items() if there}
    if path.endswith(_URLS):
        return _wrong_url(here, assets, hosts)
    api = hosts.instance.api_url
    if assets and not here & {logs.WEB, logs.embargo_remote(api)[0]}:
        return "the location log does not say that the archive has the content"
    return ""


def _wrong_url(here: set[str], assets: set[str], hosts: ContentHosts) -> str:
    if assets and not here:
        return "the URL log has no URL that gives the content"
    foreign = sorted(url for url in here if not hosts.admits(url))
    if foreign:
        return f"the URL log names another host than the archive's: {foreign[0]}"
    missing = {asset for asset in assets if hosts.instance.asset_url(asset) not in here}
    # an asset that the archive has deleted gives no content any more, and another one may have the same content
    return "the URL log lacks the API's URL of the asset" if assets and missing == assets else ""


def _check_remotes(tree: Tree, reader: ObjectReader, hosts: ContentHosts) -> Iterator[Difference]:
    """That ``remote.log`` has the remote of the archive's API."""
    name = "remote.log"
    (content,) = reader.read([tree[name][1]]) if name in tree else (b"",)
    api = hosts.instance.api_url.partition("://")[2]
    if logs.api_of(content or b"") != api:
        yield Difference(DifferenceKind.LOG, name, f"it does not name the remote of the archive's API, {api}")
