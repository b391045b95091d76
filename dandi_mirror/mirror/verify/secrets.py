"""Look for API keys and signed URLs in what a mirror keeps: objects of git, settings, logs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from dandi_mirror.files.opening import read_file
from dandi_mirror.files.own import OwnPath
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.verify.differences import Difference, DifferenceKind
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.process import start

_SIGNED = re.compile(
    rb"[?&](?:X-Amz-(?:Signature|Credential|Security-Token)|AWSAccessKeyId|Signature)=[A-Za-z0-9%/+_.-]{8}"
)
_TOKEN = re.compile(rb"(?i)authorization: *token +[0-9a-f]{40}|DANDI_API_KEY\s*=\s*[0-9a-f]{40}")
_ENDINGS = (".json", ".jsonl", ".lock", ".sqlite")
_PIECE = 1 << 20
_OVERLAP = 256
"""Bytes of the piece before that are looked at again: what is looked for may be cut in two."""
_REMEDY = "replace the key in the archive's web page, or wait until the URL is no longer valid (7 days), then remove it"


def secret_in(content: bytes, keys: Iterable[str] = ()) -> str:
    """What kind of secret a text has: an API key or a signed URL; empty if it has none.  ``keys`` are known ones."""
    if _TOKEN.search(content) or any(key.encode() in content for key in keys if key):
        return "an API key"
    return "a signed URL" if _SIGNED.search(content) else ""


def check_settings(dataset: Dataset, keys: Iterable[str]) -> Iterator[Difference]:
    """Secrets in a repository's own settings and logs of refs."""
    logs = (file for file in sorted((dataset.git_dir / "logs").rglob("*")) if file.is_file())
    for file in (dataset.git_dir / "config", *logs):
        if what := secret_in(read_file(file) or b"", keys):
            yield Difference(DifferenceKind.SECRET, str(file.relative_to(dataset.path)), f"it contains {what}", _REMEDY)


def check_objects_for_secrets(dataset: Dataset, keys: Iterable[str]) -> Iterator[Difference]:
    """Secrets in the objects of a repository, through one ``git cat-file``."""
    child = start(dataset.path, ("cat-file", "--batch", "--batch-all-objects", "--buffer", "--unordered"))
    assert child.stdin and child.stdout
    child.stdin.close()
    before, found = b"", ""
    with child.stdout as pieces:
        while not found and (piece := pieces.read(_PIECE)):
            found = secret_in(before + piece, keys)
            before = piece[-_OVERLAP:]
    child.kill()
    child.wait()
    if child.stderr:
        child.stderr.close()
    if found:
        yield Difference(DifferenceKind.SECRET, "an object of git", f"it contains {found}", _REMEDY)


def check_own_files(mirror: Mirror, keys: Iterable[str]) -> Iterator[Difference]:
    """Secrets in the settings of the mirror, in its logs, and in what it remembers."""
    for file in _own_files(mirror.own):
        if what := secret_in(file.read(), keys):
            yield Difference(DifferenceKind.SECRET, str(file), f"it contains {what}", _REMEDY)
    settings = mirror.path / "dandi-mirror.toml"
    if what := secret_in(read_file(settings) or b"", keys):
        yield Difference(DifferenceKind.SECRET, settings.name, f"it contains {what}", _REMEDY)


def _own_files(own: OwnPath) -> Iterator[OwnPath]:
    for folder in (own, own / "log", own / "locks", own / "uploads"):
        for ending in _ENDINGS:
            yield from (folder / name for name in folder.names(ending))
