"""Sync many Dandisets at once: in threads of this process, or in the workers of a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

from dandi_mirror.addresses import Allowed
from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.archive.http.session import Session
from dandi_mirror.errors import DiskError, TemporaryError, UsageError
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.state.options import Pace, silent
from dandi_mirror.mirror.sync.dandiset import Task, reported, sync_one
from dandi_mirror.model import Report
from dandi_mirror.text import how_to_install

Submit = Callable[[Task], Future[Report]]
"""Begins the sync of a Dandiset; its future's result is the report."""

ANSWER = 20
"""Seconds to wait for an answer of the scheduler."""


def executor(archive: ArchiveClient, mirror: Mirror, pace: Pace) -> AbstractContextManager[Submit]:
    """A function that begins a task; tasks that have not begun when the block ends never begin.

    Raises:
        UsageError: the scheduler cannot be used, because Dask is not installed.
        TemporaryError: the scheduler does not answer.
    """
    return _cluster(archive, mirror, pace.scheduler) if pace.scheduler else _threads(archive, mirror, pace.jobs)


@contextmanager
def _threads(archive: ArchiveClient, mirror: Mirror, jobs: int) -> Iterator[Submit]:
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="sync")
    try:
        yield lambda task: pool.submit(sync_one, archive, mirror, task)
    finally:
        # an interrupted run does not wait for the tasks that have begun
        pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _cluster(archive: ArchiveClient, mirror: Mirror, address: str) -> Iterator[Submit]:
    try:
        from distributed import Client
    except ImportError:
        raise UsageError(f"--scheduler needs Dask; {how_to_install('cluster')}") from None
    try:
        client = Client(address, timeout=ANSWER, set_as_default=False)
    except (OSError, ValueError) as error:
        raise TemporaryError(f"no Dask scheduler answers at {address} ({error}); start one: dask scheduler") from None
    with client:
        # not pure: Dask would give the old report for the same task
        pool = client.get_executor(pure=False)
        try:
            yield lambda task: pool.submit(sync_there, archive.instance.api_url, mirror.path, task)
        finally:
            pool.shutdown(wait=False)


def sync_there(api_url: str, path: Path, task: Task) -> Report:
    """Sync a Dandiset in a worker; the worker gets no API key, because open Dandisets need none."""
    return reported(task.dandiset, lambda: _sync_there(api_url, Mirror(path), task))


def _sync_there(api_url: str, mirror: Mirror, task: Task) -> Report:
    if not mirror.own.is_folder():
        raise DiskError(
            f"a worker does not see the mirror at {mirror.path}; it must be on a disk that all workers share"
        )
    return sync_one(_archive(api_url, task.options.hosts), mirror, task)


def portable(task: Task) -> Task:
    """A task that can be sent to another process."""
    return replace(task, options=replace(task.options, progress=silent))


@cache
def _archive(api_url: str, hosts: frozenset[str]) -> ArchiveClient:
    """The archive's client of this worker process, which keeps its connections."""
    return ArchiveClient(Session(api_url, allowed=Allowed.named(api_url, hosts)))
