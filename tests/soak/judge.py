"""What must hold when the archive has come to rest: the mirror against the archive, and against a fresh mirror."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from hashlib import sha1
from pathlib import Path

from dandi_mirror.embedded import Archive, Dandiset
from dandi_mirror.repo.git.dataset import Dataset
from tests.conftest import MirrorOfTest, run

TAGS = "refs/tags/"
OWN = (".dandi/", ".datalad/", ".gitattributes", "dandiset.yaml")
_API_URL = re.compile(r"/api/assets/([0-9a-f-]{36})/download/$")


def tags_of(mirror: MirrorOfTest) -> dict[str, str]:
    """Every tag of every dataset, as ``000101@0.260101.0012``, with the id of its object."""
    found: dict[str, str] = {}
    for dandiset in datasets_of(mirror.path):
        refs = mirror.refs(dandiset)
        found |= {f"{dandiset}@{name[len(TAGS) :]}": oid for name, oid in refs.items() if name.startswith(TAGS)}
    return found


def datasets_of(mirror: Path) -> list[str]:
    """The ids of those that a mirror holds; not of one whose first sync had just begun when its Dandiset went away."""
    refs = {folder.name: Dataset(folder).refs() for folder in mirror.glob("[0-9]*")}
    return sorted(name for name, there in refs.items() if "refs/heads/draft" in there)


def lost(before: dict[str, str], after: dict[str, str]) -> Iterator[str]:
    """Tags that are gone, or that are others."""
    for name, oid in before.items():
        if after.get(name) != oid:
            yield f"the tag of {name} was {oid} and is {after.get(name)}"


def not_as_it_should_be(archive: Archive, mirror: MirrorOfTest, fresh: MirrorOfTest, published: set[str]) -> list[str]:
    """Everything that is wrong; ``published`` are the ids of assets that were ever in a version."""
    problems = []
    datasets = datasets_of(mirror.path)
    for name in [".", *datasets]:
        problems += [f"{name}: {problem}" for problem in _untidy(mirror, name, datasets)]
    for dandiset in archive.dandisets.values():
        if dandiset.is_open:
            found = [*_tree(dandiset, mirror), *_against(dandiset, mirror, fresh), *_urls(dandiset, mirror, published)]
            problems += [f"{dandiset.identifier}: {problem}" for problem in found]
    return problems


def _untidy(mirror: MirrorOfTest, name: str, datasets: list[str]) -> Iterator[str]:
    fsck = run("git", "-C", str(mirror.path / name), "fsck", "--strict", "--no-dangling", "--no-progress", code=None)
    if fsck.returncode or fsck.stdout or fsck.stderr:
        yield f"git fsck: {fsck.stdout}{fsck.stderr}"
    begun = {f"?? {folder.name}/" for folder in mirror.path.glob("[0-9]*")} - {f"?? {one}/" for one in datasets}
    if status := set(mirror.git("status", "--porcelain", dandiset=name).splitlines()) - begun:
        yield f"git status: {status}"
    if left := [ref for ref in mirror.refs(name) if ref.startswith("refs/dandi-mirror/tmp")]:
        yield f"left behind: {left}"


def _tree(dandiset: Dandiset, mirror: MirrorOfTest) -> Iterator[str]:
    """The draft's tree against the archive's own listing; the superdataset against the draft."""
    identifier = dandiset.identifier
    tree, keys = mirror.tree(dandiset=identifier), mirror.keys(dandiset=identifier)
    there = {path for path in tree if not path.startswith(OWN)}
    listed = {asset.path: asset.blob for asset in dandiset.draft}
    if there != set(listed):
        yield f"differs from the listing: {sorted(there ^ set(listed))}"
    for path, blob in listed.items():
        assert blob and blob.content is not None
        if path not in there:
            continue
        as_git = sha1(b"blob %d\0%b" % (blob.size, blob.read())).hexdigest()
        wanted = f"SHA256E-s{blob.size}--{blob.sha256}."
        if tree[path][1] != as_git and not keys.get(path, "").startswith(wanted):
            yield f"{path} is not what the archive has"
    link = mirror.git("rev-parse", f"HEAD:{identifier}", dandiset=".")
    if link != mirror.refs(identifier)["refs/heads/draft"]:
        yield "the superdataset has another commit"


def _against(dandiset: Dandiset, mirror: MirrorOfTest, fresh: MirrorOfTest) -> Iterator[str]:
    identifier = dandiset.identifier
    here, there = (mirror.refs(identifier), fresh.refs(identifier))
    wanted = {TAGS + version.version for version in dandiset.published}
    if missing := wanted - here.keys():
        yield f"not tagged: {missing}"
    for name in wanted:
        if here.get(name) != there.get(name):
            yield f"{name} is {here.get(name)}, in a fresh mirror {there.get(name)}"
    trees = {one.git("rev-parse", "draft^{tree}", dandiset=identifier) for one in (mirror, fresh)}
    if len(trees) > 1:
        yield f"the draft's tree is another one than in a fresh mirror: {trees}"


def _urls(dandiset: Dandiset, mirror: MirrorOfTest, published: set[str]) -> Iterator[str]:
    """Every key of every version has both URLs, alive; no key has one of an asset that is no more."""
    identifier = dandiset.identifier
    urls: dict[str, set[str]] = {}
    for line in mirror.git("annex", "whereis", "--all", "--json", dandiset=identifier).splitlines():
        found = json.loads(line)
        urls[found["key"]] = {url for place in found["whereis"] for url in place["urls"]}
    versions = ["draft", *(f"{TAGS}{version.version}" for version in dandiset.published)]
    live = {asset.asset_id for version in dandiset.versions.values() for asset in version}
    current = {key for version in versions for key in mirror.keys(version, identifier).values()}
    for key in sorted(current):
        here = urls.get(key, set())
        ids = {match[1] for url in here if (match := _API_URL.search(url))}
        if not ids & live:
            yield f"{key} has no API URL that is alive: {sorted(here)}"
        if not any("/blobs/" in url for url in here):
            yield f"{key} has no URL in the bucket"
    for key, here in urls.items():
        ids = {match[1] for url in here if (match := _API_URL.search(url))}
        if dead := ids - live - published:
            yield f"{key} has URLs of assets that are no more: {sorted(dead)}"
        if wrong := [url for url in here if "/blobs/" in url and not _is_of(dandiset, url, key)]:
            yield f"{key} has URLs of other content: {wrong}"


def _is_of(dandiset: Dandiset, url: str, key: str) -> bool:
    blob = dandiset.archive.blobs.get(url.rpartition("/")[2])
    return blob is not None and str(blob.sha256) in key
