"""Register a Dandiset with all that the archive's form asks for; checked before it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.archive.api.dandiset_changes import create_dandiset, draft_record, own_dandisets, record_schema
from dandi_mirror.config import Settings
from dandi_mirror.errors import BadAnswerError, MirrorError, PartError
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.state.options import Options, Progress
from dandi_mirror.mirror.sync.dandiset import sync_dandiset
from dandi_mirror.model import ListedDandiset, Report
from dandi_mirror.upload.record.schema import new_errors
from dandi_mirror.upload.record.unknown import unknown_fields
from dandi_mirror.workflows.owner.record_edit import record_edit, send_edit


@dataclass(frozen=True, slots=True)
class NewDandiset:
    """What somebody says about a Dandiset that does not exist yet."""

    name: str
    metadata: Mapping[str, object]
    """Fields of its record, without the funder."""
    embargo: bool = False
    until: str = ""
    """The last day of the embargo, as ``2028-01-31``; empty: the archive decides."""
    funder: str = ""
    award: str = ""
    """The number of the award; empty if there is none."""

    @property
    def query(self) -> dict[str, str]:
        """What the archive takes about an embargo, beside the record."""
        if not self.embargo:
            return {}
        said = {"embargo_end_date": self.until, "funding_source": self.funder, "award_number": self.award}
        return {"embargo": "true", **{name: value for name, value in said.items() if value}}

    @property
    def funding(self) -> dict[str, object]:
        """The funder as a contributor; empty if there is none."""
        if not self.funder:
            return {}
        who = {"schemaKey": "Organization", "name": self.funder, "roleName": ["dcite:Funder"]}
        return {**who, "includeInCitation": False} | ({"awardNumber": self.award} if self.award else {})


def errors_of(archive: ArchiveClient, new: NewDandiset) -> list[str]:
    """What the archive's schema finds wrong with the fields that are given, or does not know; not those missing.

    Raises:
        BadAnswerError: the archive's schema is not one.
    """
    blank: dict[str, object] = {"schemaKey": "Dandiset"}
    given = {**blank, **new.metadata, "name": new.name}
    try:
        schema = record_schema(archive.session)
        return [*new_errors(blank, given, schema), *unknown_fields(blank, given, schema)]
    except ValueError as error:
        raise BadAnswerError(f"the archive's schema of a Dandiset cannot be used: {error}") from None


def namesakes(archive: ArchiveClient, new: NewDandiset) -> list[ListedDandiset]:
    """The user's own Dandisets with the same title, newest last; a killed run may have made that one."""
    return [entry for _, entry in sorted(own_dandisets(archive.session, new.name).items())]


def how_to_complete(archive: ArchiveClient, new: NewDandiset, entry: ListedDandiset) -> str:
    """What to type to complete what a killed run may have left: the dataset in the mirror, and the funder."""
    dandiset = entry.identifier
    words = f"to mirror it: dandi-mirror sync {dandiset}{'' if entry.is_open else ' --embargoed'}"
    if new.funding and not _has_funder(draft_record(archive.session, dandiset).metadata, new):
        words += f"; it lacks this funder, to add it: dandi-mirror edit {dandiset}"
    return words


def register_dandiset(archive: ArchiveClient, new: NewDandiset) -> ListedDandiset:
    """Register a Dandiset; it is there from then on.

    Raises:
        RequestRefused: the archive does not accept it.
        CredentialsError: the user may not register Dandisets.
    """
    return create_dandiset(archive.session, new.name, new.metadata, new.query)


def complete_dandiset(
    archive: ArchiveClient, mirror: Mirror, settings: Settings, new: NewDandiset, entry: ListedDandiset, doing: Progress
) -> Report:
    """Add the funder, unless the archive has done so, and make the dataset in the mirror.

    Raises:
        PartError: the Dandiset is registered, and the archive does not take its funder.
    """
    if new.funding:
        try:
            _add_funder(archive, entry.identifier, new)
        except MirrorError as error:
            raise PartError(
                f"{entry.identifier} is registered, but without its funder: {error}; add it: "
                f"dandi-mirror edit {entry.identifier}"
            ) from error
        entry = archive.dandiset(entry.identifier)
    wanted = replace(Options.of(settings), embargoed=True, progress=doing)
    return sync_dandiset(archive, mirror, entry.identifier, wanted, entry)


def _add_funder(archive: ArchiveClient, dandiset: str, new: NewDandiset) -> None:
    before = draft_record(archive.session, dandiset)
    if not _has_funder(before.metadata, new):
        after = {**before.metadata, "contributor": [*_people(before.metadata), new.funding]}
        send_edit(archive, record_edit(archive, dandiset, before, after))


def _has_funder(record: Mapping[str, object], new: NewDandiset) -> bool:
    known = [(one.get("name"), one.get("awardNumber") or "") for one in _people(record) if isinstance(one, dict)]
    return (new.funder, new.award) in known


def _people(record: Mapping[str, object]) -> list[object]:
    listed = record.get("contributor")
    return listed if isinstance(listed, list) else []
