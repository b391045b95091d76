"""``dandi-mirror archive serve``: an archive for a terminal of its own."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import requests

from tests.conftest import run
from tests.support.seaweed import free_ports
from tests.support.waiting import LONG

TOKEN = "b" * 40


def test_it_takes_uploads_until_it_is_told_to_end_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir()
    command = [sys.executable, "-m", "dandi_mirror", "archive", "serve", "--empty", "--token", TOKEN]
    serving = subprocess.Popen(
        command, env={"PATH": "", "TMPDIR": str(folder)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert serving.stdout and serving.stderr
        url = serving.stdout.readline().strip()
        headers = {"Authorization": f"token {TOKEN}"}
        made = requests.post(f"{url}/dandisets/", json={"name": "x", "metadata": {}}, headers=headers).json()
        digest = {"algorithm": "dandi:dandi-etag", "value": "0" * 32 + "-1"}
        wanted = {"dandiset": made["identifier"], "contentSize": 4, "digest": digest}
        begun = requests.post(f"{url}/uploads/initialize/", json=wanted, headers=headers).json()
        assert requests.put(begun["parts"][0]["upload_url"], data=b"1234").status_code == 200
        assert any(folder.rglob("*-1-*")), "the part is in a file"
        serving.send_signal(signal.SIGTERM)
        _, said = serving.communicate(timeout=LONG)
        assert serving.returncode == 0
        assert said.endswith("stopped\n")
        assert TOKEN not in said
        assert not any(folder.iterdir())
    finally:
        serving.kill()
        serving.communicate()


def test_an_s3_server_without_a_key_or_that_is_not_there_is_said_in_one_line() -> None:
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    without = run("dandi-mirror", "archive", "serve", "--empty", "--s3", url, code=2)
    assert "AWS_ACCESS_KEY_ID" in without.stderr
    key = {"AWS_ACCESS_KEY_ID": "access", "AWS_SECRET_ACCESS_KEY": "secret"}
    away = run("dandi-mirror", "archive", "serve", "--empty", "--s3", url, env=key, code=5)
    assert re.fullmatch(r".*is an S3 server running there\?\n", away.stderr)
    assert "secret" not in away.stderr
    assert "Traceback" not in away.stderr
