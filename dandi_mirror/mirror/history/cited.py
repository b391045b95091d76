"""The citation of a version that is here, read from its commit."""

from __future__ import annotations

from datetime import UTC, datetime

from dandi_mirror.errors import PartError
from dandi_mirror.mirror.format.record_reader import dandiset_record
from dandi_mirror.mirror.history.citation import Citation
from dandi_mirror.mirror.zarr.gitmodules import read_gitmodules
from dandi_mirror.repo.git.dataset import Dataset


def cited(dataset: Dataset, commit: str, seconds: int) -> Citation:
    """The citation of a commit with its Zarrs; its date is that of the record, else ``seconds`` since 1970.

    Raises:
        PartError: it has no record that a sync can have made.
    """
    with dataset.reader() as reader:
        content, modules = reader.read([f"{commit}:dandiset.yaml", f"{commit}:.gitmodules"])
    if not (record := dandiset_record(content)):
        raise PartError(f"the record of commit {commit} in {dataset.path} cannot be read; no sync made it")
    return Citation.of(record, commit, datetime.fromtimestamp(seconds, UTC), read_gitmodules(modules or b""))
