"""Commit to the superdataset the Dandisets that a run has moved: once a run, and only if there are any."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from dandi_mirror.errors import IntegrityError, MirrorError
from dandi_mirror.mirror.state.damage import superdataset_damage
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.state.remembered import Memory, RememberedDandiset, draft_of
from dandi_mirror.model import Finding, FindingKind, Instance, Report, parse_time
from dandi_mirror.repo.git.files import is_repository
from dandi_mirror.repo.git.process import DamagedError, GitError
from dandi_mirror.repo.git.superdataset import RegisteredDataset
from dandi_mirror.repo.git.worktree import WorktreeBlocked

SUPERDATASET = "superdataset"
"""Stands for a Dandiset's id in a report about the superdataset."""
NAMED = 100
"""A commit's message names so many Dandisets, and counts the others."""


def is_registered(mirror: Mirror, memory: Memory) -> bool:
    """Whether the superdataset is as the last run left it and has every Dandiset's newest commit; starts no git."""
    members = {name: then for name, then in memory.dandisets.items() if then.branch}
    if not members:
        return True
    as_left = memory.head == mirror.superdataset.head() and not memory.left_alone
    moved = (name for name, then in members.items() if then.registered != then.branch)
    return as_left and not any(is_repository(f"{mirror.folder(name)}/.git") for name in moved)


def register_in_superdataset(
    instance: Instance, mirror: Mirror, memory: Memory | None = None, *, anew: bool = False
) -> Report | None:
    """Commit what has moved to the superdataset; return a report of what went wrong, or None.

    If a run was killed before this, the next one does it: the index has the commit of each Dandiset, and the one that
    the superdataset has of it.  ``memory`` is what the index holds, if the caller has just read it.  ``anew``: write
    what describes the Dandisets again, though none has moved.
    """
    try:
        memory = memory or mirror.index.read()
        if is_registered(mirror, memory) and not anew:
            return None
        reason = _register(instance, mirror, anew=anew)
    except MirrorError as error:
        why = superdataset_damage(mirror, error) if isinstance(error, DamagedError | GitError) else ""
        exit_code = IntegrityError.exit_code if why else error.exit_code
        return Report(SUPERDATASET, "error", why or str(error), exit_code)
    if not reason:
        return None
    finding = Finding(SUPERDATASET, "", FindingKind.WORKTREE, f"the superdataset's work tree was left alone: {reason}")
    return Report(SUPERDATASET, exit_code=3, findings=[finding], news=reason != memory.left_alone)


def _register(instance: Instance, mirror: Mirror, *, anew: bool) -> str:
    from dandi_mirror.mirror.format.tree import datalad_config

    superdataset = mirror.superdataset
    with mirror.superdataset_lock() as killed:
        if killed:
            superdataset.clear_stale(killed)
        held = superdataset.members()
        # read the index again: another run may have changed it while this one waited for the lock
        known = {dandiset: then for dandiset, then in mirror.index.read().dandisets.items() if then.branch}
        new = known if anew else {one: then for one, then in known.items() if held.get(one) != then.branch}
        moved = {one: new[one] for one in new if not mirror.is_strange(one) and mirror.dataset(one).exists()}
        members = {
            dandiset: RegisteredDataset(dandiset, str(instance.dataset_id(dandiset)), then.branch)
            for dandiset, then in moved.items()
        }
        reason = ""
        try:
            superdataset.register(members, datalad_config(instance), _date(moved), _message(moved, held))
        except WorktreeBlocked as blocked:
            reason = str(blocked)
        superdataset.note_archive(instance.api_url)
        registered = superdataset.members()
        # of one that was moved away and taken out, nothing is noted: it is registered when it is here again
        away = {one for one in known if one not in registered and not is_repository(f"{mirror.folder(one)}/.git")}
        commits = {dandiset: "" if dandiset in away else then.branch for dandiset, then in known.items()}
        mirror.index.register(commits, superdataset.head(), reason)
        superdataset.dataset.collect_garbage()
    return reason


def _date(moved: Mapping[str, RememberedDandiset]) -> datetime:
    """When the newest of the drafts was modified, so that the commit does not depend on when the sync ran."""
    dates = [parse_time(modified) for then in moved.values() if (modified := draft_of(then.entry).modified)]
    return max(dates, default=datetime(1970, 1, 1, tzinfo=UTC))


def _message(moved: Mapping[str, RememberedDandiset], held: Mapping[str, str]) -> str:
    lines = [_line(dandiset, then, dandiset not in held) for dandiset, then in sorted(moved.items())]
    if len(lines) == 1:
        return f"{lines[0]}\n"
    if not lines:
        return "the mirror's own files\n"
    new = len(moved.keys() - held.keys())
    subject = f"{len(lines):,} Dandisets" + (f", {new:,} of them new" if 0 < new < len(lines) else "")
    subject += ", all new" if new == len(lines) else ""
    more = [f"… and {len(lines) - NAMED:,} more"] if len(lines) > NAMED else []
    return "\n".join([subject, "", *lines[:NAMED], *more]) + "\n"


def _line(dandiset: str, then: RememberedDandiset, new: bool) -> str:
    from dandi_mirror.mirror.sync import messages

    name = messages.one_line(draft_of(then.entry).name)
    return f"{dandiset}: {name}" + (" (new)" if new else "")
