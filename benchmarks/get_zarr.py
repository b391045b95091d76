"""Getting a Zarr of small chunks: ours against DataLad's in a clone of the same repository, and curl's.

The archive is in a process of its own: ``python -m benchmarks.get_zarr FOLDER COUNT SIZE MILLISECONDS`` prints the
API's URL, the Zarr's id, one content URL a line and an empty one.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.archive import DANDISET, Row
from benchmarks.content import content_server
from benchmarks.get import curl, run_program, timed_program
from benchmarks.served import served
from dandi_mirror.mirror.zarr.repository import ZarrRepositories

EACH = 500
"""Chunks in a folder; DataLad gets whole folders."""
TIMES = 3


def serve_forever(folder: Path, count: int, size: int, delay: float) -> None:
    """Serve one Zarr of so many chunks until standard input ends."""
    from dandi_mirror.embedded import Archive, Request, serve

    files = {f"0/{n // EACH}/{n}": os.urandom(size) for n in range(count)} | {".zattrs": b"{}", "0/.zarray": b"{ }"}
    for path, content in files.items():
        (folder / path.rpartition("/")[2]).write_bytes(content)
    archive = Archive(instance_name="DANDI", gzip=False)
    with serve(archive) as server:
        archive.own_bucket.url = f"{content_server(folder, delay)}/dandi-dandisets"
        dandiset = archive.create_dandiset(DANDISET, name="Synthetic")
        zarr = dandiset.add_zarr("x.zarr", files=files)
        zarr.complete()
        dandiset.add_asset("x.zarr", zarr=zarr)

        def wait(request: Request) -> None:
            time.sleep(delay)

        server.intercept = wait if delay else None
        urls = [f"{archive.s3_url}/{zarr.key}{path}" for path in files]
        print("\n".join([server.api_url, zarr.zarr_id, *urls, ""]), flush=True)
        sys.stdin.read()


@contextmanager
def _serving(folder: Path, count: int, size: int, milliseconds: int) -> Iterator[tuple[str, str, list[str]]]:
    folder.mkdir()
    with served("get_zarr", folder, count, size, milliseconds) as archive:
        yield archive.api_url, archive.line(), archive.lines()


def compare(folder: Path, count: int, size: int, milliseconds: int, peer: int) -> list[Row]:
    """Rows: seconds for all chunks; DataLad gets ``peer`` of them, and its seconds are extrapolated."""
    (folder / ".gitconfig").write_text('[annex "security"]\n\tallowed-ip-addresses = 127.0.0.1\n')
    with _serving(folder / "served", count, size, milliseconds) as (api_url, zarr_id, urls):
        os.environ["DANDI_MIRROR_CONTENT_HOSTS"] = urlsplit(urls[0]).netloc
        os.environ["DANDI_MIRROR_ZARR_REPOSITORIES"] = "all"
        run_program(["dandi-mirror", "sync", DANDISET, "-d", "mirror", "-i", api_url], folder)
        repository = ZarrRepositories(folder / "mirror").path(zarr_id).path
        ours = ["dandi-mirror", "get", "x.zarr", "-i", api_url]
        seconds, ratios = [], []
        for _ in range(TIMES):  # in turns, as the machine may be busy
            seconds.append((timed_program(ours, _dataset(folder, api_url)), curl(folder, urls)))
            ratios.append(seconds[-1][1] / seconds[-1][0])
        folders = [f"0/{n}" for n in range(max(1, peer // EACH))]
        datalad = timed_program(["datalad", "get", "-J4", *folders], _clone(folder, repository))
        took = datalad * count / (len(folders) * EACH)
    own, bare = (statistics.median(column) for column in zip(*seconds, strict=True))
    name = f"a Zarr of {count:,} × {size:,} bytes, {milliseconds} ms"
    return [
        (name, "dandi-mirror get", f"{own:.2f}", f"{count / own:.0f}", "1.00"),
        ("", "curl --parallel", f"{bare:.2f}", f"{count / bare:.0f}", f"{statistics.median(ratios):.2f} (of pairs)"),
        ("", f"datalad get -J4 ({len(folders) * EACH:,}, extrapolated)", f"{took:.2f}", f"{count / took:.0f}",
         f"{took / own:.2f}"),
    ]  # fmt: skip


def _dataset(folder: Path, api_url: str) -> Path:
    """A fresh clone of the Dandiset in which the Zarr is installed, without any chunk."""
    clone = _clone(folder, folder / "mirror" / DANDISET)
    first = ["dandi-mirror", "get", "x.zarr/.zattrs", "-d", str(folder / "mirror"), "-i", api_url]
    run_program(first, clone)
    return clone


def _clone(folder: Path, repository: Path) -> Path:
    """A fresh clone of the Zarr's repository with an initialised git-annex."""
    clone = Path(tempfile.mkdtemp(prefix="clone-", dir=folder))
    run_program(["git", "clone", "-q", str(repository), str(clone)], folder)
    run_program(["git", "annex", "init", "-q"], clone)
    return clone


if __name__ == "__main__":
    serve_forever(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]) / 1000)
