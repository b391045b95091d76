"""Open a Dandiset that is under embargo."""

from __future__ import annotations

from dandi_mirror.archive.api.dandiset_changes import unembargo
from dandi_mirror.errors import PartError
from dandi_mirror.model import ListedDandiset
from dandi_mirror.upload.change.waiting import until
from dandi_mirror.workflows.owner.own_dandiset import OwnDandiset


def to_be_opened(own: OwnDandiset) -> ListedDandiset:
    """The entry of an embargoed Dandiset that the archive would open.

    Raises:
        PartError: it is not embargoed, is being opened already, or has unfinished uploads.
    """
    entry = own.archive.dandiset(own.dandiset)
    if entry.is_open:
        raise PartError(f"{own.dandiset} is not under embargo: everybody can read it")
    if entry.embargo_status == "UNEMBARGOING":
        raise PartError(f"the archive is opening {own.dandiset} already; later: dandi-mirror status {own.dandiset}")
    if count := own.archive.active_uploads(own.dandiset):
        uploads = "an unfinished upload" if count == 1 else f"{count:,} unfinished uploads"
        raise PartError(
            f"{own.dandiset} has {uploads}, and the archive opens no Dandiset that has any; finish them by the program "
            "that began them (dandi-mirror upload)"
        )
    return entry


def open_dandiset(own: OwnDandiset, wait: float) -> bool:
    """Have the archive open a Dandiset; whether it has done so within ``wait`` seconds."""
    unembargo(own.archive.session, own.dandiset)
    return until(lambda: own.archive.dandiset(own.dandiset).is_open, wait)
