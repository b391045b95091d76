"""Ask dandi about files, in processes of their own, because a file may be hostile or damaged.

One is started when it is needed and reads many files.  It has no token, no network and a home of its own, and may
take so much memory and time.  A file that kills it, or that it does not come to an end with, is that file's error; the
next file goes on in a new one.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from queue import LifoQueue
from types import TracebackType
from typing import Any, TypeVar

from dandi_mirror.errors import UsageError
from dandi_mirror.text import how_to_install
from dandi_mirror.upload.read.worker_process import FileError, Give, Limits, WorkerProcess, WornOut

_WORTH_A_PROCESS = 5
"""Files; to start a process takes longer than to read a few."""
Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


def worthwhile(files: int, most: int) -> int:
    """How many processes to read so many files by; ``most`` is how many there may be."""
    return min(most, 1 + files // _WORTH_A_PROCESS)


class Worker:
    """Up to ``jobs`` processes; any number of threads may ask at a time."""

    def __init__(self, jobs: int = 1, limits: Limits | None = None) -> None:
        """Starts nothing yet.

        Raises:
            UsageError: dandi is not installed.
        """
        if find_spec("dandi") is None:
            raise UsageError(f"this needs the dandi client; {how_to_install('upload')}")
        self._limits = limits or Limits()
        self._home = Path(tempfile.mkdtemp(prefix="dandi-mirror-"))
        self._idle: LifoQueue[WorkerProcess | None] = LifoQueue()
        for _ in range(jobs):
            self._idle.put(None)
        self._jobs = jobs
        self._running: set[WorkerProcess] = set()
        self._stopped = False

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Ends every process, at once."""
        self.stop()
        for process in list(self._running):
            process.end()
        shutil.rmtree(self._home, ignore_errors=True)

    def stop(self) -> None:
        """End every process; what is being asked fails, and so does what is asked later."""
        self._stopped = True
        for process in list(self._running):
            # its pipes belong to who asks it
            process.kill()

    def each(self, ask: Callable[[Asked], Answer], items: Sequence[Asked]) -> Iterator[Answer]:
        """The answers to many questions in their order; several are asked at a time.  Whatever ends this ends all."""
        pool = ThreadPoolExecutor(worthwhile(len(items), self._jobs))
        try:
            yield from pool.map(ask, items)
        except BaseException:
            self.stop()
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    # --- what may be asked -----------------------------------------------------------------------------------

    def schema_version(self) -> str:
        """The version of the schema that dandi writes.

        Raises:
            MirrorError: dandi could not be imported.
        """
        return str(self._ask("schema_version"))

    def asset_metadata(
        self, file: Path, path: str, root: Path, digests: Mapping[str, str], schema_version: str
    ) -> dict[str, Any]:
        """The record of an asset as ``dandi upload`` makes it.

        ``path`` is its path in the Dandiset, whose top is ``root``; ``digests`` has ``dandi:dandi-etag``, and what else
        the record has to hold; it is empty for a Zarr folder.  ``schema_version`` is the archive's: a newer record is
        brought down to it where that is possible.

        Raises:
            FileError: there is none.
        """
        asked = {"file": str(file), "path": path, "root": str(root), "digests": dict(digests), "schema": schema_version}
        return dict(self._ask("asset_metadata", asked))

    def nwb_facts(self, file: Path) -> dict[str, Any]:
        """What an NWB file says about itself that its name is made of; and the media files that it refers to.

        Keys: ``path`` as given, the fields of a name (``subject_id``, ``session_id``, …), ``object_id``, ``nd_types``,
        and ``media``: a list of ``id``, ``field`` and ``files`` (as they are written in the file).

        Raises:
            FileError: it cannot be read.
        """
        return dict(self._ask("nwb_facts", {"file": str(file)}))

    def nwb_names(self, facts: Sequence[Mapping[str, Any]], required: Sequence[str] = ()) -> dict[str, str]:
        """The name of each file: its ``path`` of :meth:`nwb_facts` → where it belongs in the Dandiset.

        Names depend on what is named together, as dandi's do; ``required`` are fields that every name must have.

        Raises:
            FileError: there are no names that tell the files apart.
        """
        return dict(self._ask("nwb_names", {"facts": [dict(one) for one in facts], "required": list(required)}))

    def rewrite_media(self, file: Path, media: Sequence[Mapping[str, Any]]) -> None:
        """Let an NWB file refer to its media files by new names: ``media`` of :meth:`nwb_facts`, each with ``renamed``.

        Raises:
            FileError: it does not do so afterwards.
        """
        self._ask("rewrite_media", {"file": str(file), "media": [dict(one) for one in media]}, writes=True)

    def findings(self, file: Path, path: str, root: Path, *, present: bool = True) -> list[dict[str, Any]]:
        """What ``dandi validate`` says about a file of the Dandiset at ``root``; of a BIDS dataset, by its description.

        Each has ``severity`` (``INFO``, ``HINT``, ``WARNING``, ``ERROR``, ``CRITICAL``), ``id``, ``message``, ``path``
        (in the Dandiset), ``within`` (the place in the file, or empty), ``validator``, ``standard``.
        Of a file that is not ``present``, only its path is looked at.

        Raises:
            FileError: it killed the process, or did not come to an end.
        """
        return list(self._ask("findings", {"file": str(file), "path": path, "root": str(root), "present": present}))

    def preview(self, file: Path) -> dict[str, Any]:
        """What is in an NWB file, for a page: ``tree``, ``facts`` and ``plots``; in numbers, never as markup.

        What comes is as the file has it, which may be hostile: check it by :mod:`dandi_mirror.catalogue.previews`.

        Raises:
            FileError: it is no complete HDF5 file, killed the process, or did not come to an end.
        """
        return dict(self._ask("preview", {"file": str(file)}))

    def preview_of_blocks(self, size: int, block: int, give: Give) -> dict[str, Any]:
        """The same of a file of ``size`` bytes, of which ``give`` gives blocks of ``block`` bytes.

        ``give`` gets ``first`` and ``count`` (of blocks), and returns the first blocks of these, none if no more may be
        read; and how many ``requests`` and bytes (``left``) there may still be.

        Raises:
            FileError: as above.
        """
        return dict(self._ask("preview_of_blocks", {"size": size, "block": block}, give=give))

    def preview_of_zarr(self, listed: Mapping[str, Any], give: Give) -> dict[str, Any]:
        """The same of a Zarr: ``levels`` of an image besides.  ``listed``: see :mod:`…read.preview_zarr`.

        ``give`` gets ``entry``, the path of one, and returns its bytes, and whether it is ``there``.

        Raises:
            FileError: it has no metadata that can be read, killed the process, or did not come to an end.
        """
        return dict(self._ask("preview_of_zarr", {"listed": dict(listed)}, give=give))

    # --- how it is asked -------------------------------------------------------------------------------------

    def _ask(
        self, what: str, asked: Mapping[str, Any] | None = None, *, writes: bool = False, give: Give | None = None
    ) -> Any:
        request = {"what": what, "writes": writes, **(asked or {})}
        try:
            answer = self._answer(request, give)
        except WornOut:
            # files that were read before may have taken what this one lacked
            answer = self._answer(request, give)
        if "error" in answer:
            raise FileError(answer["error"])
        return answer["value"]

    def _answer(self, request: Mapping[str, Any], give: Give | None) -> dict[str, Any]:
        with self._process() as process:
            return process.ask(request, give)

    @contextmanager
    def _process(self) -> Iterator[WorkerProcess]:
        process = self._idle.get()
        try:
            if process is None:
                process = WorkerProcess(self._limits, self._home)
                self._running.add(process)
                if not self._stopped:
                    process.begin()
            if self._stopped:
                raise FileError("the run was ended")
            yield process
        except BaseException:
            if process:
                process.end()
            raise
        finally:
            if process and not process.alive:
                self._running.discard(process)
                process = None
            self._idle.put(process)


__all__ = ["FileError", "Give", "Limits", "Worker", "worthwhile"]
