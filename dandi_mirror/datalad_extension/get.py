"""``datalad dandi-get``: as ``dandi-mirror get``, with DataLad's result records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from datalad.distribution.dataset import EnsureDataset, datasetmethod, require_dataset
from datalad.interface.base import Interface, build_doc, eval_results
from datalad.support.constraints import EnsureInt, EnsureNone, EnsureStr
from datalad.support.param import Parameter
from datalad.utils import ensure_list

from dandi_mirror.archive.content import JOBS
from dandi_mirror.errors import MirrorError
from dandi_mirror.interface.getting import GetFailed, get_content
from dandi_mirror.interface.values import Got


@build_doc
class DandiGet(Interface):
    """Get the content of files of a Dandiset, many at a time

    In a dataset that dandi-mirror made, this gets the content of files, folders and globs from the archive: many files
    at a time, each checked as it comes.
    """

    _params_: ClassVar[dict[str, Parameter]] = {
        "path": Parameter(
            args=("path",), metavar="PATH", nargs="*", constraints=EnsureStr() | EnsureNone(),
            doc="a file, folder or glob, relative to the top of the dataset; all of it if there is none",
        ),
        "dataset": Parameter(
            args=("-d", "--dataset"), constraints=EnsureDataset() | EnsureNone(),
            doc="the dataset; by default that around the current folder",
        ),
        "where": Parameter(
            args=("--where",), metavar="CONDITIONS", constraints=EnsureStr() | EnsureNone(),
            doc="only files that meet conditions on metadata, such as 'species:mouse sex:female'",
        ),
        "jobs": Parameter(
            args=("-J", "--jobs"), metavar="N", constraints=EnsureInt(),
            doc="open at most N connections at the same time",
        ),
    }  # fmt: skip

    @staticmethod
    @datasetmethod(name="dandi_get")
    @eval_results
    def __call__(
        path: Any = None, *, dataset: Any = None, where: str | None = None, jobs: int = JOBS
    ) -> Iterator[dict[str, Any]]:
        """Yield DataLad's result record of each file."""
        found = require_dataset(dataset, check_installed=True, purpose="get content")
        top = Path(found.path)
        try:
            got = get_content(top, [str(one) for one in ensure_list(path)], top, None, where or "", jobs, False)
        except GetFailed as failed:
            got = list(failed.got)
        except MirrorError as error:
            yield {"action": "get", "type": "dataset", "path": str(top), "refds": str(top), "status": "error",
                   "message": str(error)}  # fmt: skip
            return
        yield from (_record(one, top) for one in got)


def _record(got: Got, top: Path) -> dict[str, Any]:
    record: dict[str, Any] = {"action": "get", "type": "file", "path": str(got.path), "refds": str(top)}
    return record | {"status": got.status} | ({"message": got.message} if got.message else {})
