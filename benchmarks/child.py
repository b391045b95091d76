"""One sync in a process of its own, measured: ``python -m benchmarks.child URL MIRROR [STREAM]``.

Prints JSON: seconds and peak memory of the whole, and when each phase began.  With STREAM, what goes to
``git fast-import`` is also written there; such a run is not to be timed.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.archive import DANDISET


def measure(api_url: str, mirror: Path, stream: Path | None = None) -> dict[str, Any]:
    """Run one sync in a child; what it measured."""
    command = [sys.executable, "-m", "benchmarks.child", api_url, str(mirror)]
    command += [str(stream)] if stream else []
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=Path(__file__).parents[1])
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def _sync(api_url: str, path: Path) -> dict[str, Any]:
    from dandi_mirror.archive.client import Archive
    from dandi_mirror.archive.http import Session
    from dandi_mirror.mirror.mirror import Mirror
    from dandi_mirror.mirror.options import Options
    from dandi_mirror.mirror.sync import sync_dandiset

    began: list[tuple[str, float]] = []
    start = time.monotonic()
    options = Options(progress=lambda _, doing: began.append((doing, time.monotonic() - start)))
    with closing(Session(api_url)) as session:
        report = sync_dandiset(Archive(session), Mirror(path), DANDISET, options)
    seconds = time.monotonic() - start
    ends = [*(at for _, at in began[1:]), seconds]
    return {
        "status": report.status, "message": report.message, "seconds": seconds,
        "changed": report.added + report.changed,
        "phases": {doing: end - at for (doing, at), end in zip(began, ends, strict=True)},
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }  # fmt: skip


def _capture(stream: Path) -> None:
    from dandi_mirror.repo import stream as module

    file = stream.open("ab")
    write = module.Importer._flush

    def both(importer: module.Importer) -> None:
        file.write(b"".join(importer._parts))
        file.flush()
        write(importer)

    setattr(module.Importer, "_flush", both)  # noqa: B010 (mypy would not let a method be replaced)


if __name__ == "__main__":
    if len(sys.argv) > 3:
        _capture(Path(sys.argv[3]))
    print(json.dumps(_sync(sys.argv[1], Path(sys.argv[2]))))
