"""Sync Dandisets: which ones somebody asked for, the sync itself, and the content that the settings ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dandi_mirror.errors import UsageError
from dandi_mirror.mirror.state.damage import held_dandisets
from dandi_mirror.workflows.access import tokens
from dandi_mirror.workflows.access.current_clone import no_dandiset
from dandi_mirror.workflows.names import naming

if TYPE_CHECKING:
    from dandi_mirror.archive.credentials import Token
    from dandi_mirror.archive.names import Name
    from dandi_mirror.config import Settings
    from dandi_mirror.mirror.fetch.scheduled import Follow
    from dandi_mirror.mirror.state.layout import Mirror
    from dandi_mirror.mirror.state.options import Options, Pace, Progress
    from dandi_mirror.model import ListedDandiset, Report
    from dandi_mirror.workflows.sync.watch import Watch


@dataclass(frozen=True, slots=True)
class Selected:
    """Which Dandisets somebody asked for."""

    ids: list[str]
    everything: bool
    instance: str | None
    """The archive, as the names that somebody typed call it."""
    here: list[str]
    """The Dandisets that the mirror holds, if somebody typed no ids."""

    @property
    def words(self) -> dict[str, object]:
        """The same for the log of the run."""
        return {"asked": self.ids or ("all" if self.everything else "mirrored")}


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """What somebody asks of one sync, beside the settings."""

    dandisets: tuple[str, ...] = ()
    """Names, as somebody typed them; none: all that the mirror holds."""
    everything: bool = False
    """All Dandisets of the archive."""
    mode: str = "auto"
    """As :attr:`.Options.mode`."""
    dry_run: bool = False
    allow_deletes: bool = False
    accepted: tuple[str, ...] = ()
    """As :attr:`.Options.accepted`."""
    scheduler: str = ""
    """As :attr:`.Pace.scheduler`."""
    deadline: float | None = None
    """As :attr:`.Pace.deadline`."""


def run_sync(
    path: Path,
    request: SyncRequest,
    flags: Mapping[str, object],
    take: Callable[[Report], None],
    *,
    show: Callable[[], AbstractContextManager[tuple[Progress, Follow]]],
    begins: Callable[[], None] = lambda: None,
    named: bool = False,
) -> int:
    """Sync the mirror at ``path``, and return the exit code; the command and the Python interface both call this.

    ``flags`` are settings that somebody gave, ``take`` is called with what became of each Dandiset, and ``show`` shows
    the progress.  ``begins`` and ``named`` are as for :func:`synced` and :func:`.settings_for`.

    Raises:
        UsageError: what was asked for makes no sense, or the mirror is one of another archive.
        CredentialsError: embargoed Dandisets are wanted, and there is no API key.
        TemporaryError: the archive does not answer.
    """
    from dandi_mirror.errors import exit_code
    from dandi_mirror.mirror.state.layout import Mirror
    from dandi_mirror.workflows.sync.watch import watched

    names, mirror = naming.read_names(request.dandisets), Mirror(path.absolute())
    settings = naming.settings_for(path, names, needed=True, asks_mirrors=True, named=named, **flags)
    mirror.superdataset.check_folder()
    selected = select_dandisets(settings, mirror, names, request.everything, flags)
    check_options(selected, settings, request.accepted, request.scheduler)
    codes = set[int]()
    with watched(mirror, settings, selected.words | {"mode": request.mode}, request.dry_run) as watch:
        # before the progress: a person may be asked for it
        token = tokens.needed(settings.instance) if settings.embargoed else tokens.given(settings.instance)
        with show() as (told, follow):
            options, pace = _how(settings, request, told)
            for report in synced(settings, mirror, selected, options, pace, watch, token, follow, begins):
                watch.add(report)
                codes.add(report.exit_code)
                take(report)
        watch.code = exit_code(codes)
    return watch.code


def _how(settings: Settings, request: SyncRequest, told: Progress) -> tuple[Options, Pace]:
    from dandi_mirror.mirror.state.options import Options, Pace

    options = replace(
        Options.of(settings), mode=request.mode, dry_run=request.dry_run, allow_deletes=request.allow_deletes,
        accepted=frozenset(request.accepted), progress=told,
    )  # fmt: skip
    return options, Pace(settings.jobs, request.scheduler, settings.recheck_days, request.deadline)


def select_dandisets(
    settings: Settings, mirror: Mirror, names: list[Name], everything: bool, flags: Mapping[str, object]
) -> Selected:
    """Find the Dandisets that somebody means.

    Raises:
        UsageError: the parts of what was typed do not fit together, or mean no Dandiset.
    """
    ids = _ids(settings.instance, names, everything, flags)
    here = [] if ids else held_dandisets(mirror)
    if not ids and not everything and not here:
        raise no_dandiset(mirror.path)
    return Selected(ids, everything, naming.said(names), here)


def check_options(selected: Selected, settings: Settings, accepted: tuple[str, ...], scheduler: str) -> None:
    """See that the options fit what was selected.

    Raises:
        UsageError: they do not.
    """
    _check_accepted(accepted, selected.ids)
    if scheduler and settings.embargoed:
        raise UsageError("the workers of a cluster get no API key: leave out --embargoed, or --scheduler")


def _ids(instance: str, names: Iterable[Name], everything: bool, flags: Mapping[str, object]) -> list[str]:
    """Return the ids that somebody typed."""
    from dandi_mirror.archive.instances import api_url

    api_url(instance)
    ids = naming.dandisets(names)
    if everything and ids:
        raise UsageError("name Dandisets, or give --all, but not both")
    if ids and (flags.get("include") or flags.get("exclude")):
        raise UsageError(
            "--include and --exclude choose among all Dandisets; name Dandisets, or give rules, but not both"
        )
    return ids


def _check_accepted(versions: tuple[str, ...], ids: list[str]) -> None:
    from dandi_mirror.model import is_version_id

    if versions and len(ids) != 1:
        raise UsageError("--accept-changed needs the one Dandiset that has this version; name it, too")
    for version in versions:
        if not is_version_id(version):
            raise UsageError(f"{version!a} is not a published version; write it like 0.220126.1852")


def synced(
    settings: Settings,
    mirror: Mirror,
    selected: Selected,
    options: Options,
    pace: Pace,
    watch: Watch,
    token: Token | None,
    follow: Follow,
    begins: Callable[[], None],
) -> Iterator[Report]:
    """Sync what was selected, and give each Dandiset's report when its content has come, too.

    ``follow`` is told how content comes; ``begins`` is called when it is known which Dandisets there are.
    """
    from dandi_mirror.archive.api.client import ArchiveClient
    from dandi_mirror.archive.bucket.listing import AT_ONCE
    from dandi_mirror.archive.instances import check_called
    from dandi_mirror.mirror.copies.rescue import RescueRules, with_rescue
    from dandi_mirror.mirror.fetch.scheduled import ContentRules, with_content
    from dandi_mirror.mirror.sync.run import list_all, sync_many

    ids = selected.ids
    content = ContentRules(settings.get, settings.get_budget_each, settings.get_budget, pace.deadline, bool(ids))
    rescue = RescueRules(settings.rescue, settings.rescue_budget, pace.deadline)
    with closing(tokens.session(settings, token, AT_ONCE)) as session:
        watch.session, archive, listed = session, ArchiveClient(session), None
        check_called(selected.instance, archive.instance)
        if not ids:
            listed = list_all(archive, mirror, options)
            ids = _by_rules(settings, listed.ids if selected.everything else selected.here, listed.entries)
            watch.left_out = frozenset(selected.here) - frozenset(ids)
        begins()
        reports = sync_many(archive, mirror, ids, options, pace, listed)
        reports = with_content(reports, mirror, content, options, follow)
        yield from with_rescue(reports, mirror, rescue, options)


def _by_rules(settings: Settings, ids: list[str], entries: Mapping[str, ListedDandiset | None]) -> list[str]:
    from dandi_mirror.mirror.sync.filters import Rules

    if not settings.include and not settings.exclude:
        return ids
    rules = Rules(settings.include, settings.exclude)
    return [name for name in ids if rules.take(name, entry.draft.name if (entry := entries.get(name)) else None)]
