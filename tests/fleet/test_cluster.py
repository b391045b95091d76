"""A Dask cluster syncs into one mirror."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.responses import Response

from dandi_mirror.embedded import Request
from tests.conftest import MirrorOfTest, run
from tests.support.fleet import IDS, all_refs, command, registered
from tests.support.waiting import LONG


@pytest.fixture
def cluster(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """A Dask cluster of two workers, processes of their own, on loopback."""
    from distributed import LocalCluster

    monkeypatch.chdir(home)
    with LocalCluster(  # type: ignore[no-untyped-call, unused-ignore]
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None, silence_logs=50
    ) as made:
        yield made


def test_a_cluster_syncs_into_one_mirror_and_ones_failure_is_its_own(
    many: MirrorOfTest, cluster: object, tmp_path: Path
) -> None:
    from distributed import Client

    address = cluster.scheduler_address  # type: ignore[attr-defined]
    many.server.intercept = lambda request: Response("no", 400) if "/000003/" in request.path else None
    done = many.cli("sync", "--all", "--scheduler", address, code=3)
    assert [line[:6] for line in done.stdout.splitlines()] == [*IDS[:2], *IDS[3:]]
    assert (done.stderr[:6], done.stderr.count("\n")) == ("000003", 1)
    with Client(address, set_as_default=False) as client:
        places = client.run(archives_of_worker)
    assert sorted(places.values()) == [1, 1], "both had some"
    many.server.intercept = None
    assert many.cli("sync", "--all", "--scheduler", address).stdout.startswith("000003  2 files")
    assert sorted(registered(many)) == IDS
    here = MirrorOfTest(tmp_path / "here", many.server)
    here.cli("sync", "--all")
    assert all_refs(here)["000001"] == all_refs(many)["000001"]
    assert many.cli("sync", "--all", "--scheduler", address).stdout == ""


def test_a_worker_that_is_killed_is_replaced_and_what_it_left_is_completed(many: MirrorOfTest, cluster: object) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def wait(request: Request) -> None:
        if "/000003/versions/draft/assets/" in request.path and not begun.is_set():
            begun.set()
            go_on.wait(LONG)

    many.server.intercept = wait
    address = cluster.scheduler_address  # type: ignore[attr-defined]
    with subprocess.Popen(command(many, "--all", "--scheduler", address), stdout=subprocess.PIPE) as child:
        assert begun.wait(LONG)
        holder = json.loads((many.path / ".dandi-mirror" / "locks" / "000003.lock").read_text())["pid"]
        assert holder in [worker.pid for worker in cluster.workers.values()]  # type: ignore[attr-defined]
        os.kill(holder, signal.SIGKILL)
        output, _ = child.communicate(timeout=LONG)
    go_on.set()
    assert child.returncode == 0
    # what the killed worker had done and not yet told is found up to date, and is no line
    told = {line[:6].decode() for line in output.splitlines()}
    assert {"000003"} <= told <= set(IDS)
    assert sorted(registered(many)) == IDS


def archives_of_worker() -> int:
    from dandi_mirror.mirror.sync import executors

    return executors._archive.cache_info().currsize


def test_without_dask_or_a_scheduler_a_cluster_is_one_clear_line(many: MirrorOfTest) -> None:
    without = "import sys\nsys.modules['distributed'] = None\nfrom dandi_mirror.cli.main import main\n"
    arguments = command(many, "--all", "--scheduler", "127.0.0.1:1")[3:]
    done = run(sys.executable, "-c", f"{without}sys.argv[0] = 'dandi-mirror'\nmain()", *arguments, code=2)
    how = "type in the clone of dandi-mirror: pip install '.[cluster]'"
    assert done.stderr == f"dandi-mirror: --scheduler needs Dask; {how}\n"
    assert not (many.path / "000001").exists()
