"""A served mirror beside nginx on the same files, and its cache beside the archive, which is 50 ms away.

``python -m benchmarks.serving FOLDER MILLISECONDS FILE…`` is the archive in its process: it prints the API's URL and a
content URL a line, and an empty line.
"""

from __future__ import annotations

import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from benchmarks.archive import DANDISET, metadata
from benchmarks.content import content_server, digests_of, origin
from benchmarks.get import environment, run_program, timed_program

SMALL, COUNT = 10_000, 1_000
"""Bytes of a small file, and how many there are."""
LARGE, WHOLE = 512_000_000, 2_000_000_000
"""Bytes of the file that is sent whole, and of that of which one percent is read."""
NGINX = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"]))
TIMES = 5
_CONFIG = """\
{user}daemon off; error_log stderr; pid {scratch}/pid; worker_processes 1; events {{}}
http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; client_body_temp_path {scratch}/body;
proxy_temp_path {scratch}/proxy; fastcgi_temp_path {scratch}/fcgi; uwsgi_temp_path {scratch}/uwsgi;
scgi_temp_path {scratch}/scgi; server {{ listen 127.0.0.1:{port}; root {root}; }} }}
"""
Row = tuple[str, ...]


def table(folder: Path, assets: int, peer: int) -> list[Row]:
    """A served mirror: beside nginx, and its cache beside the archive."""
    return compare(folder, 50, WHOLE)


def compare(folder: Path, milliseconds: int, large: int) -> list[Row]:
    """Rows of a table; ``large``: bytes of the file of which one percent is read."""
    (folder / ".gitconfig").write_text('[annex "security"]\n\tallowed-ip-addresses = 127.0.0.1\n')
    os.environ["HOME"] = str(folder)
    rows: list[Row] = [("", "served", "beside", "served / beside")]
    files = [_random(folder / f"small{n:05}.nwb", SMALL) for n in range(COUNT)]
    files.append(_random(folder / "large.nwb", LARGE))
    with mirrored(folder / "here", files, 0) as (mirror, _):
        run_program(["dandi-mirror", "get", DANDISET, "-d", str(mirror)], mirror)
        rows += _beside_nginx(folder, mirror)
    for file in files:
        file.unlink()
    rows += _nwb(folder / "nwb", milliseconds)
    rows += _share(folder / "share", large)
    return rows


def _beside_nginx(folder: Path, mirror: Path) -> Iterator[Row]:
    (scratch := folder / "scratch").mkdir()
    with serving(mirror) as api, nginx(mirror, scratch) as bare:
        ids = asset_ids(api)
        # nginx refuses nothing that the server checks: whose it is, whether it is open, what its name is
        ours = [f"{api}/dandisets/{DANDISET}/versions/draft/assets/{id}/download/" for id in ids.values()]
        plain = [f"{api.removesuffix('/api')}/dav/{DANDISET}/draft/{path}" for path in ids]
        theirs = [f"{bare}/{DANDISET}/{path}" for path in ids]
        big = next(n for n, path in enumerate(ids) if path.startswith("large"))

        def rate(urls: list[str]) -> float:
            few = [url for n, url in enumerate(urls) if n != big]
            return len(few) / statistics.median(_curl(scratch, few) for _ in range(TIMES))

        def speed(urls: list[str]) -> float:
            return LARGE / 1e6 / statistics.median(_curl(scratch, [urls[big]]) for _ in range(TIMES))

        nginx_rate, nginx_speed = rate(theirs), speed(theirs)
        for name, urls in (("API", ours), ("WebDAV", plain)):
            mine = rate(urls)
            yield (
                f"files of 10 kB a second, {name}; nginx",
                f"{mine:.0f}",
                f"{nginx_rate:.0f}",
                f"{mine / nginx_rate:.2f}",
            )
        mine = speed(ours)
        yield "MB/s of one file, API; nginx", f"{mine:.0f}", f"{nginx_speed:.0f}", f"{mine / nginx_speed:.2f}"


def _nwb(folder: Path, milliseconds: int) -> Iterator[Row]:
    """The first open of an NWB file: through the cache that another reader has filled, and from the archive."""
    folder.mkdir()
    with mirrored(folder, [_recording(folder / "recording.nwb")], milliseconds) as (mirror, urls):
        cold = statistics.median(_opened(urls[0]) for _ in range(3))
        with serving(mirror) as api:
            url = f"{api}/assets/{next(iter(asset_ids(api).values()))}/download/"
            first = _opened(url)
            second = statistics.median(_opened(url) for _ in range(TIMES))
        with serving(mirror) as api:
            again = _opened(f"{api}/assets/{next(iter(asset_ids(api).values()))}/download/")
    what = f"s to open an NWB file by remfile, {milliseconds} ms away"
    yield f"{what}: first reader; without the server", f"{first:.2f}", f"{cold:.2f}", f"{first / cold:.2f}"
    yield "  second reader; without the server", f"{second:.3f}", f"{cold:.2f}", f"{second / cold:.3f}"
    yield "  second reader, after the server began anew", f"{again:.3f}", f"{cold:.2f}", f"{again / cold:.3f}"


def _share(folder: Path, size: int) -> Iterator[Row]:
    """What reading one percent of a file costs: in one part, and in parts of 1 MB."""
    folder.mkdir()
    share, chance = size // 100, random.Random(1)
    with mirrored(folder, [_random(folder / "large.nwb", size)], 0) as (mirror, _):
        cache = mirror / ".dandi-mirror" / "cache"
        for name, step in (("in one part", share), ("in parts of 1 MB", 1_000_000)):
            shutil.rmtree(cache, ignore_errors=True)
            with serving(mirror) as api:
                url = f"{api}/assets/{next(iter(asset_ids(api).values()))}/download/"
                for _ in range(share // step):
                    start = chance.randrange(size - step)
                    found = requests.get(url, headers={"Range": f"bytes={start}-{start + step - 1}"}, timeout=600)
                    assert len(found.content) == step
            fetched = sum(path.stat().st_size - 16 for path in cache.rglob("*") if path.is_file())
            read = share // step * step
            yield f"MB fetched to read 1 % of {size / 1e9:.0f} GB {name}; read", f"{fetched / 1e6:.1f}", \
                f"{read / 1e6:.1f}", f"{fetched / read:.2f}"  # fmt: skip


def _opened(url: str) -> float:
    """Seconds until pynwb has read a file's structure, in a process that has loaded what it needs."""
    program = (
        "import sys, time, warnings; warnings.simplefilter('ignore'); import h5py, pynwb, remfile;"
        "pynwb.get_type_map(); begun = time.monotonic();"
        "file = h5py.File(remfile.File(sys.argv[1]), 'r');"
        "pynwb.NWBHDF5IO(file=file, load_namespaces=True).read(); print(time.monotonic() - begun)"
    )
    done = subprocess.run([sys.executable, "-c", program, url], stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout)


def _recording(path: Path) -> Path:
    """An NWB file with a few series of noise."""
    from datetime import UTC, datetime

    import numpy
    import pynwb

    file = pynwb.NWBFile("a session", "one", datetime(2024, 1, 2, tzinfo=UTC))
    noise = numpy.random.default_rng(1)
    for number in range(12):
        data = noise.standard_normal((100_000, 4))
        file.add_acquisition(pynwb.TimeSeries(f"series{number}", data=data, unit="V", rate=1000.0))
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(file)
    return path


# --- servers ------------------------------------------------------------------------------------------------------


@contextmanager
def mirrored(folder: Path, files: list[Path], milliseconds: int) -> Iterator[tuple[Path, list[str]]]:
    """A mirror without content of a Dandiset with these files, and their URLs, for as long as its archive runs."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "benchmarks.serving", str(folder), str(milliseconds), *map(str, files)]
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]
    )
    assert child.stdin and child.stdout
    try:
        lines = (line.strip() for line in child.stdout)
        api, urls = next(lines), list(iter(lambda: next(lines), ""))
        os.environ["DANDI_MIRROR_CONTENT_HOSTS"] = origin(urls[0]).partition("//")[2]
        run_program(["dandi-mirror", "sync", DANDISET, "-d", "mirror", "-i", api], folder)
        yield folder / "mirror", urls
    finally:
        child.stdin.close()
        child.wait()


@contextmanager
def serving(mirror: Path) -> Iterator[str]:
    """``dandi-mirror serve``; the address of its API."""
    child = subprocess.Popen(
        [sys.executable, "-m", "dandi_mirror", "serve", "-d", str(mirror), "-l", "error"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**environment(), **_hosts()},
    )  # fmt: skip
    try:
        assert child.stdout
        yield child.stdout.readline().strip()
    finally:
        child.terminate()
        child.wait()


def _hosts() -> dict[str, str]:
    name = "DANDI_MIRROR_CONTENT_HOSTS"
    return {name: os.environ[name]}


@contextmanager
def nginx(root: Path, scratch: Path) -> Iterator[str]:
    """nginx on the files of a folder, one worker."""
    if not NGINX:
        raise SystemExit("this benchmark needs nginx (Debian: nginx-light)")
    import socket

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    user = "user root; " if os.geteuid() == 0 else ""
    (scratch / "nginx.conf").write_text(_CONFIG.format(user=user, scratch=scratch, port=port, root=root))
    child = subprocess.Popen([NGINX, "-e", "stderr", "-p", str(scratch), "-c", str(scratch / "nginx.conf")])
    try:
        _wait(lambda: requests.get(f"http://127.0.0.1:{port}/", timeout=5))
        yield f"http://127.0.0.1:{port}"
    finally:
        child.terminate()
        child.wait()


def _wait(once: Callable[[], Any]) -> None:
    for _ in range(300):
        try:
            once()
            return
        except requests.ConnectionError:
            time.sleep(0.1)
    raise RuntimeError("the server did not start")


def asset_ids(api: str) -> dict[str, str]:
    """The assets of the draft: path → id."""
    found: dict[str, str] = {}
    url = f"{api}/dandisets/{DANDISET}/versions/draft/assets/?order=path&page_size=1000"
    while url:
        page = requests.get(url, timeout=600).json()
        found |= {row["path"]: row["asset_id"] for row in page["results"]}
        url = page["next"]
    return found


def _curl(folder: Path, urls: list[str]) -> float:
    """Fetch URLs one after the other over one connection, and drop what comes; the seconds that it takes."""
    config = folder / "curl.cfg"
    config.write_text("".join(f'url="{url}"\noutput="/dev/null"\n' for url in urls))
    return timed_program(["curl", "-s", "-f", "-K", str(config)], folder)


def _random(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        for start in range(0, size, 1 << 24):
            file.write(os.urandom(min(1 << 24, size - start)))
    return path


def serve_forever(folder: Path, delay: float, files: list[Path]) -> None:
    """Serve files until standard input ends."""
    from dandi_mirror.embedded import Archive, Request, serve

    archive = Archive(instance_name="DANDI", gzip=False)
    (blobs := folder / "blobs").mkdir()
    with serve(archive) as server:
        archive.own_bucket.url = f"{content_server(blobs, delay)}/dandi-dandisets"
        dandiset = archive.create_dandiset(DANDISET, name="Synthetic")
        urls = []
        for number, file in enumerate(files):
            blob = archive.add_blob_record(file.stat().st_size, *digests_of(file))
            (blobs / blob.blob_id).symlink_to(file)
            dandiset.add_asset(file.name, blob, metadata(number, str(blob.sha256)))
            urls.append(f"{archive.s3_url}/{blob.key}")

        def wait(request: Request) -> None:
            time.sleep(delay)

        server.intercept = wait if delay else None
        print("\n".join([server.api_url, *urls, ""]), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    serve_forever(Path(sys.argv[1]), int(sys.argv[2]) / 1000, [Path(name) for name in sys.argv[3:]])
