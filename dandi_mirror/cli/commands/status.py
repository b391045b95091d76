"""``dandi-mirror status``: compare the mirror with the archive."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dandi_mirror.cli import options, output
from dandi_mirror.text import beginning, counted, human_size, printable
from dandi_mirror.workflows.access import current_clone, tokens
from dandi_mirror.workflows.names import naming
from dandi_mirror.workflows.terminal import say

if TYPE_CHECKING:
    from dandi_mirror.archive.api.client import ArchiveClient
    from dandi_mirror.archive.names import Name
    from dandi_mirror.config import Settings
    from dandi_mirror.mirror.monitor.status import Status
    from dandi_mirror.mirror.state.layout import Mirror

_IN_A_CLONE = "what an upload from here would change: dandi-mirror upload -n"


@click.command("status")
@click.argument("dandisets", metavar="[ID]...", nargs=-1, shell_complete=options.complete_dandisets)
@click.option(
    "--all", "everything", is_flag=True, help="Show a table of all Dandisets of the archive, mirrored or not."
)
@click.option("--offline", is_flag=True, help="Do not ask the archive; show what the last sync left.")
@options.common
def command(
    dandisets: tuple[str, ...], everything: bool, offline: bool, mirror_path: Path, instance: str | None, output: str
) -> int:
    """Show how the mirrored Dandisets compare with the archive; nothing is written.

    \b
    up to date      as the archive had it when it was asked
    behind, renamed, unembargoed
                    the archive has changed it: run dandi-mirror sync
    pending         the archive is still working on a part; the next sync completes it
    refused         a part of the archive's listing is not safe in git (named below)
    version gone    the archive does not have a tagged version any more; the tag stays
    unfinished      the last sync was interrupted: run it again
    unanswered      the archive did not answer the last sync completely
    failed          the last sync failed (the reason is below)
    gone, forbidden, embargoed, emptied
                    the archive does not show it any more; the mirror keeps what it has
    alarm           a tagged version and the archive disagree
    damaged         its git repository is damaged or lost, or verify found damage (what to type is below)
    not mirrored, left out
                    with --all: the rules include and exclude of the settings leave out the latter

    \b
    Examples:
      dandi-mirror status -d dandi
      dandi-mirror status 000004 --offline -d dandi
    """
    from dandi_mirror.cli.output import print_summary
    from dandi_mirror.errors import UsageError
    from dandi_mirror.mirror.monitor.status_word import StatusWord
    from dandi_mirror.mirror.state.damage import held_dandisets
    from dandi_mirror.mirror.state.layout import Mirror

    if everything and (dandisets or offline):
        raise UsageError("--all asks the archive for all Dandisets; leave out ids and --offline")
    mirror, names = Mirror(mirror_path.absolute()), naming.read_names(dandisets, offline=offline)
    asks = current_clone.clone_around(mirror_path, names) if names and not offline else None
    settings = naming.settings_for(mirror_path, names, "", asks, asks_mirrors=not offline, instance=instance)
    ids = naming.dandisets(names) or held_dandisets(mirror)
    if not ids and not everything:
        raise current_clone.no_dandiset(mirror_path, _IN_A_CLONE)
    found = _look_at_all(mirror, settings) if everything else _look(mirror, ids, settings, names, offline)
    if everything and output == "text":
        _table(found)
    else:
        for status in found:
            _print(status, mirror.path, output)
            if status.word is StatusWord.MISSING and not asks and output == "text":
                say(f"  to mirror it: dandi-mirror sync {status.dandiset}")
    if asks and output == "text" and any(status.word is StatusWord.MISSING for status in found):
        say(f"dandi-mirror: {printable(str(current_clone.no_dandiset(mirror_path, _IN_A_CLONE)))}", err=True)
    # a Dandiset that nobody named may be missing
    code = max(
        (status.exit_code for status in found if not everything or status.word is not StatusWord.MISSING), default=0
    )
    if output == "json":
        print_summary(code, dandisets=len(found))
    return code


def _look(mirror: Mirror, ids: list[str], settings: Settings, names: list[Name], offline: bool) -> list[Status]:
    """Find the status of each; if none was named, ask for the list of all, not for each by itself."""
    from dandi_mirror.mirror.monitor.status import status_of

    if offline:
        return [status_of(mirror, dandiset, None) for dandiset in ids]
    with _archive(settings, naming.said(names)) as archive:
        listed = {} if names else archive.dandisets(embargoed=_with_token(archive, settings))
        changed = _changed_zarrs(mirror, archive, ids)
        return [
            status_of(mirror, dandiset, lambda name: listed.get(name) or archive.dandiset(name), changed)
            for dandiset in ids
        ]


def _look_at_all(mirror: Mirror, settings: Settings) -> list[Status]:
    from dandi_mirror.mirror.monitor.status import status_of_all
    from dandi_mirror.mirror.sync.filters import Rules

    with _archive(settings) as archive:
        rules = Rules(settings.include, settings.exclude)
        listed = archive.dandisets(embargoed=_with_token(archive, settings))
        changed = _changed_zarrs(mirror, archive, mirror.dandisets())
        return list(status_of_all(mirror, listed, archive.dandiset, rules, changed))


def _changed_zarrs(mirror: Mirror, archive: ArchiveClient, ids: list[str]) -> set[str]:
    """Find the Dandisets whose Zarrs have changed in place, which no list entry shows."""
    from dandi_mirror.mirror.sync.zarr_changes import changed_zarrs

    memory = mirror.index.read().dandisets
    return changed_zarrs(archive, {name: memory[name].zarrs for name in ids if name in memory and memory[name].zarrs})


def _with_token(archive: ArchiveClient, settings: Settings) -> bool:
    """Whether to ask for embargoed Dandisets, which the archive refuses without a token."""
    return settings.embargoed and archive.session.has_token


@contextmanager
def _archive(settings: Settings, said: str | None = None) -> Iterator[ArchiveClient]:
    """Connect to the archive; ``said`` is what the names that somebody typed call it."""
    from dandi_mirror.archive.api.client import ArchiveClient
    from dandi_mirror.archive.instances import check_called

    token = tokens.stored(settings.instance) if settings.embargoed else tokens.given(settings.instance)
    with closing(tokens.session(settings, token)) as session:
        archive = ArchiveClient(session)
        check_called(said, archive.instance)
        yield archive


def _coloured(status: Status) -> str:
    """Return the word, in red if it means a failure; click takes colours out where there is no terminal."""
    import os

    plain = status.exit_code == 0 or "NO_COLOR" in os.environ
    return str(status.word) if plain else click.style(str(status.word), fg="red")


def _table(found: list[Status]) -> None:
    form = "{:8}  {:12}  {:>8}  {:>9}  {:10}  {}"
    output.say(form.format("dandiset", "status", "versions", "size", "modified", "name"))
    for status in found:
        size, day, name = human_size(status.size), status.modified[:10], printable(status.name)
        line = form.format(status.dandiset, status.word, status.versions, size, day, beginning(name, 60)).rstrip()
        output.write_out(line.replace(status.word, _coloured(status), 1))


def _zarr_counts(status: Status) -> str:
    plural = "y" if status.zarr_entries == 1 else "ies"
    return f"{status.zarr_entries:,} entr{plural} of {human_size(status.zarr_size)}"


def _print(status: object, path: Path, form: str) -> None:
    from dandi_mirror.mirror.monitor.status import Status
    from dandi_mirror.mirror.monitor.status_word import StatusWord

    assert isinstance(status, Status)
    if form == "json":
        facts = asdict(status) | {"word": str(status.word)}
        where = {"action": "status", "path": str(path / status.dandiset), "type": "dataset", "refds": str(path)}
        state = "ok" if status.exit_code == 0 else "impossible"
        output.print_json(where | {"status": state, "message": str(status.word)} | facts)
        return
    details = [f"{status.versions} version{'' if status.versions == 1 else 's'}"]
    details += [f"{status.zarrs:,} Zarr{'' if status.zarrs == 1 else 's'}"] if status.zarrs else []
    details += [_zarr_counts(status)] if status.zarr_entries else []
    details += [f"{status.pending_zarrs:,} of them pending"] if status.pending_zarrs else []
    details += [f"{status.unversioned:,} of them without the bucket's versions"] if status.unversioned else []
    details += [f"{status.edits} local edit{'' if status.edits == 1 else 's'}"] if status.edits else []
    line = f"{status.dandiset}  {_coloured(status)}"
    output.write_out(line if status.word is StatusWord.MISSING else f"{line}  {', '.join(details)}")
    if status.failure:
        when = f"the last sync, at {status.failed}, said: " if status.failed else ""
        output.say(f"  {when}{printable(status.failure)}")
    if status.leaving:
        what = f"{counted(status.leaving, 'file')}, {human_size(status.leaving_size)}"
        keep = "to keep them: dandi-mirror sync, with rescue = true in dandi-mirror.toml"
        output.say(f"  leaving the archive: {what}, the first about {status.leaving_day}; {keep}")
    for finding in output.finding_lines(status.findings):
        output.say(finding)
