"""One sync in a process of its own, measured: ``python -m benchmarks.child URL MIRROR [STREAM|profile]``.

Prints JSON: seconds and peak memory of the whole, and when each phase began.  With STREAM, what goes to
``git fast-import`` is also written there; such a run is not to be timed.  With ``profile``, what took the
processors' time instead.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.archive import DANDISET


def measure(api_url: str, mirror: Path, *more: str) -> dict[str, Any]:
    """Run one sync in a child; what it measured.  ``more`` is a stream's path, or ``profile``."""
    command = [sys.executable, "-m", "benchmarks.child", api_url, str(mirror), *more]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=Path(__file__).parents[1])
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def _sync(api_url: str, path: Path) -> dict[str, Any]:
    from dandi_mirror.archive.api.client import ArchiveClient
    from dandi_mirror.archive.http.session import Session
    from dandi_mirror.mirror.state.layout import Mirror
    from dandi_mirror.mirror.state.options import Options
    from dandi_mirror.mirror.sync.dandiset import sync_dandiset

    began: list[tuple[str, float]] = []
    start = time.monotonic()
    options = Options(progress=lambda _, doing: began.append((doing, time.monotonic() - start)))
    with closing(Session(api_url)) as session:
        report = sync_dandiset(ArchiveClient(session), Mirror(path), DANDISET, options)
    seconds = time.monotonic() - start
    ends = [*(at for _, at in began[1:]), seconds]
    return {
        "status": report.status, "message": report.message, "seconds": seconds,
        "changed": report.added + report.changed, "requests": session.requests,
        "phases": {doing: end - at for (doing, at), end in zip(began, ends, strict=True)},
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }  # fmt: skip


def _capture(stream: Path) -> None:
    from dandi_mirror.mirror.sync import writer
    from dandi_mirror.repo.annex import branch
    from dandi_mirror.repo.git import importer as module

    # one stream, for one git
    branch.MOST_NAMES = writer.SHARED = sys.maxsize
    file = stream.open("ab")
    flush = module.Importer._flush

    def both(importer: module.Importer) -> None:
        file.write(b"".join(importer._parts))
        file.flush()
        flush(importer)

    setattr(module.Importer, "_flush", both)  # noqa: B010 (mypy would not let a method be replaced)


class Stopwatch:
    """Processor seconds of Python's parts, each without those of the parts that it calls."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inner = threading.local()

    def watch(self, owner: Any, name: str, part: str) -> None:
        """Count the calls of a function to ``part``."""
        function: Callable[..., Any] = getattr(owner, name)

        def watched(*arguments: Any, **more: Any) -> Any:
            outer, self._inner.total = getattr(self._inner, "total", 0.0), 0.0
            start = time.thread_time()
            try:
                return function(*arguments, **more)
            finally:
                whole = time.thread_time() - start
                self.seconds[part] = self.seconds.get(part, 0.0) + whole - self._inner.total
                self._inner.total = outer + whole

        setattr(owner, name, watched)


def _watch_all() -> Stopwatch:
    from dandi_mirror.archive.api import listing
    from dandi_mirror.mirror.format.record_spool import Spool
    from dandi_mirror.mirror.state import asset_cache
    from dandi_mirror.mirror.sync import archive_state, eager_logs, version_reader, writer
    from dandi_mirror.repo.git import importer

    watch = Stopwatch()
    watch.watch(listing, "_page", "fetching and parsing pages")
    watch.watch(version_reader, "admit_entry", "admission and canonical records")
    watch.watch(Spool, "put", "records to the spool")
    watch.watch(eager_logs.EagerLogs, "_write", "annex logs")
    watch.watch(archive_state, "version_tree", "tree and plan")
    watch.watch(archive_state, "plan_sync", "tree and plan")
    watch.watch(writer.Writer, "_import_branch", "links and records")
    watch.watch(importer.Importer, "_flush", "writing to git's pipe")
    watch.watch(asset_cache.AssetCache, "store", "remembering assets")
    return watch


def _profile(api_url: str, path: Path) -> dict[str, float]:
    watch = _watch_all()
    _sync(api_url, path)
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    python = own.ru_utime + own.ru_stime
    rest = {"the rest of Python": python - sum(watch.seconds.values())}
    return watch.seconds | rest | {"git and git-annex": children.ru_utime + children.ru_stime}


if __name__ == "__main__":
    if sys.argv[3:] == ["profile"]:
        print(json.dumps(_profile(sys.argv[1], Path(sys.argv[2]))))
        sys.exit()
    if len(sys.argv) > 3:
        _capture(Path(sys.argv[3]))
    print(json.dumps(_sync(sys.argv[1], Path(sys.argv[2]))))
