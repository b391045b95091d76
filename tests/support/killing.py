"""A command that is killed in the middle of a request."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping

from starlette.responses import Response

from dandi_mirror.embedded import Request
from tests.conftest import MirrorOfTest


def killed(
    mirror: MirrorOfTest, env: Mapping[str, str], typed: list[str], at: Callable[[Request], bool], *, before: bool
) -> None:
    """Run a command, and kill it when the archive has got its request: before or after the archive does it."""
    started = threading.Event()
    child: list[subprocess.Popen[bytes]] = []

    def strike(request: Request) -> Response | None:
        if not at(request):
            return None
        started.wait()
        child[0].kill()
        child[0].wait()
        return Response(status_code=503) if before else None

    mirror.server.intercept = strike
    program = [sys.executable, "-m", "dandi_mirror", *typed, "-d", str(mirror.path), "-i", mirror.server.api_url]
    child.append(subprocess.Popen(program, env={**os.environ, **env}, stdout=subprocess.DEVNULL))
    started.set()
    assert child[0].wait() == -9
    mirror.server.intercept = None
