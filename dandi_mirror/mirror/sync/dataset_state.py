"""What a dataset holds when its sync begins: branch, tags, and what is already known to be wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dandi_mirror.errors import PartError
from dandi_mirror.mirror.state.members import check_id
from dandi_mirror.mirror.sync import messages
from dandi_mirror.mirror.sync.context import SyncContext
from dandi_mirror.mirror.sync.own_commits import own_commits
from dandi_mirror.mirror.sync.rewritten import alarm, kept_as
from dandi_mirror.model import Finding, FindingKind, is_version_id
from dandi_mirror.repo.git.dataset import ALARM, TAGS


@dataclass(frozen=True, slots=True)
class DatasetState:
    """A dataset before the sync."""

    branch: str | None
    """The commit of the branch that the sync keeps."""
    tags: Mapping[str, str]
    """Published version → id of its tag object."""
    version: str = ""
    """The version whose files the branch has."""
    findings: tuple[Finding, ...] = ()
    message: str = ""
    """What the report says about versions that the user accepts as the archive has them now."""


def read_state(sync: SyncContext) -> DatasetState:
    """Look at the dataset's refs.

    Raises:
        NotAMember: another repository is in the dataset's place.
        PartError: the branch has commits that no sync made.
        UsageError: a version is to be accepted that no sync has found changed.
    """
    refs = sync.dataset.refs()
    check_id(sync.dataset, sync.instance, sync.dandiset, refs)
    branch = refs.get(f"refs/heads/{sync.options.branch}")
    message = sync.dataset.message(branch) if branch else ""
    if branch and messages.TRAILER not in message:
        raise PartError(own_commits(sync.dataset, sync.options.branch))
    tags = {ref.removeprefix(TAGS): oid for ref, oid in refs.items() if is_version_id(ref.removeprefix(TAGS))}
    accepted = {name: kept_as(refs, sync.dandiset, name) for name in sorted(sync.options.accepted)}
    said = "; ".join(f"{name} is tagged anew, its old tag is {kept}" for name, kept in accepted.items())
    return DatasetState(branch, tags, messages.version_in_message(message), tuple(_findings(sync, refs, tags)), said)


def alarm_finding(dandiset: str, version: str) -> Finding:
    """The finding about a version whose tag differs from what the archive says now."""
    return Finding(version, "", FindingKind.ALARM, alarm(dandiset, version))


def _findings(sync: SyncContext, refs: Mapping[str, str], tags: Mapping[str, str]) -> Iterator[Finding]:
    for name in sorted(tags.keys() & sync.dataset.light_tags()) if tags else ():
        yield Finding(
            name, "", FindingKind.ALARM, "a tag that no sync made has the name that this version's tag would have"
        )
    if sync.options.mode != "verify":
        # an alarm stays until a verification finds that the archive and the tag agree again
        standing = {ref.removeprefix(ALARM) for ref in refs if ref.startswith(ALARM)}
        for version in sorted(standing - sync.options.accepted):
            yield alarm_finding(sync.dandiset, version)
