"""Send the Dandiset's record as somebody edited it in a clone (``dandiset.yaml``)."""

from __future__ import annotations

import os

from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.archive.api.dandiset_changes import draft_record
from dandi_mirror.errors import DiskError, PartError
from dandi_mirror.files.opening import open_to_read
from dandi_mirror.mirror.format.record_reader import dandiset_record
from dandi_mirror.paths import DANDISET_YAML
from dandi_mirror.repo.annex.repository import AnnexRepository
from dandi_mirror.repo.git.process import NO_FILTER, git
from dandi_mirror.upload.record.fields import replaced, written
from dandi_mirror.upload.record.yaml_text import LONGEST, NotYaml, read_yaml
from dandi_mirror.workflows.owner.record_edit import RecordEdit, record_edit

TAKE_BACK = f"take your edits back: git restore --staged --worktree {DANDISET_YAML}"


def read_record_edit(archive: ArchiveClient, clone: AnnexRepository, dandiset: str, base: str) -> RecordEdit:
    """Compare the record in the work tree with that of ``base``, the last commit of a sync, and with the archive's.

    Raises:
        PartError: it is no record, the archive's schema does not allow it, or the archive has another than ``base``.
        DiskError: the file cannot be read.
    """
    try:
        fields = read_yaml(_text(clone))
    except NotYaml as error:
        raise PartError(f"it is not YAML ({error}); correct it, or {TAKE_BACK}") from None
    if not isinstance(fields, dict):
        raise PartError(f"it is no record of a Dandiset; {TAKE_BACK}")
    if not isinstance(name := fields.get("name"), str) or not name.strip():
        raise PartError(f"a Dandiset needs a title (the field name); {TAKE_BACK}")
    before = draft_record(archive.session, dandiset)
    edit = record_edit(archive, dandiset, before, replaced(before.metadata, fields))
    if edit.errors:
        raise PartError(f"the archive's schema does not allow it: {'; '.join(edit.errors)}")
    with clone.dataset.reader() as reader:
        (content,) = reader.read([f"{base}:{DANDISET_YAML}"])
    if not edit.is_idle and written(dandiset_record(content)) != written(before.metadata):
        raise PartError(
            "somebody else changed the record at the archive since the last sync; put your edits aside (cp "
            f"{DANDISET_YAML} /tmp), {TAKE_BACK}; then run dandi-mirror upload --update, and edit it again"
        )
    return edit


def _text(clone: AnnexRepository) -> str:
    try:
        with os.fdopen(open_to_read(clone.path / DANDISET_YAML), encoding="utf-8") as file:
            return file.read(LONGEST + 1)
    except OSError as error:
        raise DiskError.of(clone.path / DANDISET_YAML, error) from error
    except UnicodeDecodeError:
        raise NotYaml("it is not UTF-8") from None


def take_back_record(clone: AnnexRepository, commit: str) -> None:
    """Let the work tree's record be that of a commit again, so that a sync can bring the archive's."""
    how = ("--source", commit, "--staged", "--worktree", "--", DANDISET_YAML)
    git(clone.dataset.path, *NO_FILTER, "--literal-pathspecs", "restore", *how)
