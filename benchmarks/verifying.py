"""Verifications: of the metadata of many Dandisets, and of content, beside ``sha256sum``."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

from benchmarks import fleet
from benchmarks.archive import Row
from benchmarks.served import served
from dandi_mirror.mirror.verify.content import check_content
from dandi_mirror.mirror.verify.sample import ALL
from dandi_mirror.repo.annex.keys import annex_key, hash_dir_mixed

_PROGRAM = (sys.executable, "-m", "dandi_mirror")


def metadata(folder: Path, dandisets: int, large: int, assets: int) -> list[Row]:
    """``verify --all`` of a fresh mirror of the fleet: the first ``large`` Dandisets have ``assets`` assets."""
    with served("fleet", "serve", dandisets, large, assets) as archive:
        fleet.measure(archive.api_url, folder / "mirror", 4)
        where = ["-d", str(folder / "mirror"), "-i", archive.api_url, "-f", "json"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.monotonic()
        done = subprocess.run([*_PROGRAM, "verify", "--all", *where], stdout=subprocess.PIPE, check=False)
        seconds = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    summary = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 0 and summary["differences"] == 0, summary
    name = f"verify of {dandisets:,} Dandisets"
    return [(name, f"{seconds:.1f}", f"{cpu:.1f}", f"{seconds / dandisets * 1000:.0f} ms a Dandiset")]


def content(folder: Path, count: int, size: int) -> list[Row]:
    """Hash content as ``verify --content 1`` does, and with ``sha256sum`` in as many processes as there are cores."""
    files = []
    for number in range(count):
        data = number.to_bytes(8, "big") * (size // 8)
        key = annex_key(len(data), sha256(data).hexdigest(), "a.nwb")
        file = folder / "annex/objects" / hash_dir_mixed(key) / key / key
        file.parent.mkdir(parents=True)
        file.write_bytes(data)
        files.append(str(file))
    cores = os.cpu_count() or 1
    rows: list[Row] = []
    rates = []
    for name in ("sha256sum", "verify --content 1"):
        start = time.monotonic()
        if name == "sha256sum":
            words = ["xargs", "-0", "-n", "1", "-P", str(cores), "sha256sum"]
            subprocess.run(words, input="\0".join(files).encode(), stdout=subprocess.DEVNULL, check=True)
        else:
            assert list(check_content(folder, folder, ALL, cores)) == []
        seconds = time.monotonic() - start
        rates.append(count * size / 1e6 / seconds)
        rows.append((f"{name}, {cores} at a time", f"{seconds:.1f}", "", f"{rates[-1]:.0f} MB/s"))
    return [*rows, ("of sha256sum", "", "", f"{rates[1] / rates[0]:.2f}")]
