"""``datalad dandi-sync``: as ``dandi-mirror sync``, with DataLad's result records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from datalad.interface.base import Interface, build_doc, eval_results
from datalad.support.constraints import EnsureNone, EnsureStr
from datalad.support.param import Parameter
from datalad.utils import ensure_list

from dandi_mirror.errors import MirrorError
from dandi_mirror.interface.syncing import sync_reports
from dandi_mirror.workflows.sync.reports import report_record


@build_doc
class DandiSync(Interface):
    """Mirror Dandisets, or bring them up to date

    Each becomes a DataLad dataset in the folder of the mirror: published versions are tags, the draft is a branch.
    """

    _params_: ClassVar[dict[str, Parameter]] = {
        "dandiset": Parameter(
            args=("dandiset",), metavar="ID", nargs="*", constraints=EnsureStr() | EnsureNone(),
            doc="a Dandiset, such as 000004; all that the mirror has if there is none",
        ),
        "mirror": Parameter(
            args=("-m", "--mirror"), metavar="DIR", constraints=EnsureStr() | EnsureNone(),
            doc="the folder of the mirror; by default the current one",
        ),
        "instance": Parameter(
            args=("-i", "--instance"), metavar="NAME|URL", constraints=EnsureStr() | EnsureNone(),
            doc="the archive: a name that the dandi client knows, or the URL of an API",
        ),
    }  # fmt: skip

    @staticmethod
    @eval_results
    def __call__(
        dandiset: Any = None, *, mirror: str | None = None, instance: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield DataLad's result record of each Dandiset."""
        path, ids = Path(mirror or ".").absolute(), [str(one) for one in ensure_list(dandiset)]
        try:
            reports = sync_reports(path, ids, {"instance": instance}, named=mirror is not None)
        except MirrorError as error:
            yield {"action": "sync", "type": "dataset", "path": str(path), "refds": str(path), "status": "error",
                   "message": str(error)}  # fmt: skip
            return
        yield from (report_record(report, path, False) for report in reports)
