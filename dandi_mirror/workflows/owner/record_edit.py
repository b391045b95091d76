"""Change the record of a Dandiset: compare it, check it by the archive's schema, send it if nobody else was quicker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.archive.api.dandiset_changes import DraftRecord, draft_record, record_schema, set_draft_record
from dandi_mirror.errors import BadAnswerError, PartError
from dandi_mirror.mirror.format.record_reader import dandiset_record
from dandi_mirror.mirror.history.diff import SUMMARY, FieldChange, field_changes
from dandi_mirror.mirror.sync.draft import last_commit
from dandi_mirror.upload.record.fields import written
from dandi_mirror.upload.record.schema import new_errors
from dandi_mirror.upload.record.unknown import unknown_fields
from dandi_mirror.workflows.owner.own_dandiset import OwnDandiset

UNCOUNTED = SUMMARY | {"schemaVersion", "dateCreated"}
"""Fields of a record that are no change when the archive writes them anew."""


@dataclass(frozen=True, slots=True)
class RecordEdit:
    """A change of a Dandiset's record that has not been sent."""

    dandiset: str
    before: DraftRecord
    after: Mapping[str, object]
    changes: tuple[FieldChange, ...]
    errors: tuple[str, ...]
    """What the archive's schema finds wrong with the new record, and did not with the old."""
    unknown: tuple[str, ...] = ()
    """Those of the errors that name a field which the schema does not know: a slip, most likely."""

    @property
    def is_idle(self) -> bool:
        """Whether the edit changes nothing."""
        return written(self.before.metadata) == written(self.after)


def record_edit(archive: ArchiveClient, dandiset: str, before: DraftRecord, after: Mapping[str, object]) -> RecordEdit:
    """Compare a new record with that of the archive, and check it by the archive's schema.

    Raises:
        PartError: the Dandiset would lose its title.
        BadAnswerError: the archive's schema is not one.
    """
    if not isinstance(after.get("name"), str) or not str(after["name"]).strip():
        raise PartError(f"{dandiset}: a Dandiset needs a title (the field name)")
    try:
        schema = record_schema(archive.session)
        errors = new_errors(before.metadata, after, schema)
    except ValueError as error:
        raise BadAnswerError(f"the archive's schema of a Dandiset cannot be used: {error}") from None
    unknown = tuple(unknown_fields(before.metadata, after, schema))
    changes = field_changes(before.metadata, after, UNCOUNTED)
    return RecordEdit(dandiset, before, after, changes, (*errors, *unknown), unknown)


def refuse_stale(own: OwnDandiset, before: DraftRecord, after: Mapping[str, object]) -> None:
    """Refuse a new record, made from a file, that takes back what somebody else changed since the last sync.

    Raises:
        PartError: it does; the message names the fields.
    """
    dataset = own.mirror.dataset(own.dandiset)
    commit = last_commit(dataset) if dataset.exists() else ""
    if not commit:
        return
    with dataset.reader() as reader:
        (content,) = reader.read([f"{commit}:dandiset.yaml"])
    base, theirs, ours = written(dandiset_record(content)), written(before.metadata), written(after)
    lost = [
        field
        for field in sorted({*base, *theirs})
        if base.get(field) != theirs.get(field) and theirs.get(field) != ours.get(field)
    ]
    if base and lost:
        raise PartError(
            f"{own.dandiset}: the file would take back what somebody else changed since the last sync "
            f"({', '.join(lost)}); nothing was sent; run dandi-mirror sync {own.dandiset}, and make your change again"
        )


def send_edit(archive: ArchiveClient, edit: RecordEdit) -> None:
    """Send a change of the record, if the archive still has the record that the change began with.

    Raises:
        PartError: somebody else has changed the record meanwhile.
    """
    now = draft_record(archive.session, edit.dandiset)
    if written(now.metadata) != written(edit.before.metadata):
        fields = ", ".join(change.name for change in field_changes(edit.before.metadata, now.metadata, UNCOUNTED)[:5])
        raise PartError(
            f"{edit.dandiset}: somebody else changed the record meanwhile ({fields}); nothing was sent; "
            "look at it, and make your change again"
        )
    set_draft_record(archive.session, edit.dandiset, edit.after)
