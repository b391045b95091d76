"""A published version that the archive has changed since it was tagged: what to say, and how to accept the change."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import count

import orjson

from dandi_mirror.errors import UsageError
from dandi_mirror.mirror.sync import messages
from dandi_mirror.model import Instance
from dandi_mirror.repo.git.dataset import ALARM, TAGS, ZERO, Dataset, RefChange
from dandi_mirror.repo.git.stream import tag_object

SUPERSEDED = "-superseded-"
"""The old tag of an accepted version is called by the version, this and a number."""


def alarm(dandiset: str, version: str) -> str:
    """The reason of the finding about such a version."""
    return (
        "the archive's records of it are not those that were tagged: somebody has rewritten them there, or it was "
        f"tagged before it had its DOI; the tag stays; to compare: git -C {dandiset} diff {version} {ALARM}{version}; "
        f"to take what the archive says now: dandi-mirror sync {dandiset} --accept-changed {version}"
    )


def kept_as(refs: Mapping[str, str], dandiset: str, version: str) -> str:
    """The new name of the old tag of a version that the archive has changed.

    Raises:
        UsageError: no sync has found that it is rewritten.
    """
    if TAGS + version not in refs or ALARM + version not in refs:
        raise UsageError(
            f"{dandiset}: no sync has found that the archive's {version} differs from the tag; "
            f"compare them first: dandi-mirror sync {dandiset} --mode verify"
        )
    return next(name for n in count(1) if TAGS + (name := f"{version}{SUPERSEDED}{n}") not in refs)


def accept_rewritten(dataset: Dataset, instance: Instance, dandiset: str, version: str) -> str:
    """Tag a version anew, as the last verification found it in the archive, and keep its old tag; return the new id.

    This does not ask the archive: the user accepts what the user could look at.  Only under the dataset's lock.
    """
    refs = dataset.refs()
    commit, old = refs[ALARM + version], refs[TAGS + version]
    tag = _tag(dataset, instance, dandiset, version, commit)
    dataset.move_refs([
        RefChange(TAGS + kept_as(refs, dandiset, version), old, None),
        RefChange(TAGS + version, tag, old),
        RefChange(ALARM + version, ZERO, commit),
    ])  # fmt: skip
    return tag


def superseded_by(refs: Mapping[str, str], version: str, oid: str) -> str:
    """The name that a former tag of a version has now, by its object id; empty if it is none."""
    before = f"{TAGS}{version}{SUPERSEDED}"
    return next((ref.removeprefix(TAGS) for ref, held in refs.items() if ref.startswith(before) and held == oid), "")


def _tag(dataset: Dataset, instance: Instance, dandiset: str, version: str, commit: str) -> str:
    with dataset.reader() as reader:
        (content,) = reader.read([f"{commit}:dandiset.yaml"])
    message = messages.version_tag(instance, dandiset, version, orjson.loads(content or b"{}"))
    created = datetime.fromtimestamp(dataset.seconds(commit), UTC)
    return dataset.write_tag(tag_object(commit, version, created, message))
