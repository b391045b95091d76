"""Bringing files to the archive: ours against ``dandi upload``, of files of the same sizes to the same server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

from benchmarks.served import served
from dandi_mirror.archive.instances import token_variable
from dandi_mirror.repo.git.process import child_environment

TOKEN = "0123456789abcdef0123456789abcdef01234567"
OURS, THEIRS, BARE = "000001", "000002", "000003"
_DIGESTS = {
    "dandi-mirror: etag and SHA-256": "from dandi_mirror.upload.send.digest import digest; digest(file)",
    "dandi: etag": "from dandi.support.digests import get_dandietag; get_dandietag(file)",
    "dandi: etag, then SHA-256": "from dandi.support.digests import Digester, get_dandietag; "
    "get_dandietag(file); Digester(['sha256'])(file)",
    "sha256sum": "",
}


def compare(folder: Path, count: int, size: int) -> list[tuple[str, ...]]:
    """Rows of a table: how long each program takes for new files, and for the same files again."""
    rows: list[tuple[str, ...]] = []
    Path(os.environ["HOME"], ".gitconfig").write_text("[user]\n\tname = Benchmark\n\temail = benchmark@localhost\n")
    with served("uploading", "serve") as archive:
        for program in (_Ours, _Dandi, _Bare):
            work = folder / program.dandiset
            run = program(work, archive.api_url)
            _make(run.files, count, size)
            for what in ("new", "again"):
                seconds, peak = run.upload()
                moved = f"{count * size / seconds / 1e6:.0f}" if what == "new" else ""
                name = f"{count:,} × {size:,} bytes" if (what, program) == ("new", _Ours) else ""
                rows.append((name, run.name, what, f"{seconds:.2f}", f"{count / seconds:.0f}", moved, f"{peak:.0f}"))
            _remove(work)
    return rows


def compare_zarr(folder: Path, count: int, size: int) -> list[tuple[str, ...]]:
    """Rows of a table: how long each program takes for one new Zarr, again unchanged, and with ten changed chunks.

    The bucket is SeaweedFS, because the embedded one would take most of the time.
    """
    from tests.support.seaweed import seaweed

    rows: list[tuple[str, ...]] = []
    Path(os.environ["HOME"], ".gitconfig").write_text("[user]\n\tname = Benchmark\n\temail = benchmark@localhost\n")
    with seaweed(folder / "s3") as bucket, served("uploading", "serve", bucket) as archive:
        for program in (_Ours, _Dandi):
            work = folder / program.dandiset
            os.environ["DANDI_MIRROR_CONTENT_HOSTS"] = urlsplit(bucket).netloc
            run = program(work, archive.api_url)
            array = _make_zarr(run.files / "sub-1_image.ome.zarr", count, size)
            for what in ("new", "again", "ten changed"):
                if what == "ten changed":
                    for number in range(0, count, count // 10):
                        _fill(array / str(number), size)
                cpu = os.times().children_user + os.times().children_system
                seconds, peak = run.upload()
                cpu = os.times().children_user + os.times().children_system - cpu
                _check_zarr(archive.api_url, program.dandiset, count)
                name = f"{count:,} × {size:,} bytes" if (what, program) == ("new", _Ours) else ""
                rows.append((name, run.name, what, f"{seconds:.2f}", f"{cpu:.2f}", f"{peak:.0f}"))
            _remove(work)
    return rows


def _check_zarr(api_url: str, dandiset: str, count: int) -> None:
    """Check that the archive has all chunks, in one asset."""
    with urlopen(f"{api_url}/zarr/?dandiset={dandiset}") as answer:
        [zarr] = json.load(answer)["results"]
    assert zarr["file_count"] == count + 2, zarr
    with urlopen(f"{api_url}/dandisets/{dandiset}/versions/draft/assets/") as answer:
        assert json.load(answer)["count"] == 1


def _make_zarr(folder: Path, count: int, size: int) -> Path:
    """A Zarr of one array with so many chunks; the array's folder."""
    array = folder / "0"
    array.mkdir(parents=True)
    (folder / ".zgroup").write_text('{"zarr_format": 2}')
    shape = {"shape": [count * size], "chunks": [size], "dtype": "|u1", "fill_value": 0, "order": "C"}
    (array / ".zarray").write_text(json.dumps({"zarr_format": 2, "compressor": None, "filters": None, **shape}))
    for number in range(count):
        _fill(array / str(number), size)
    return array


def digests(folder: Path, size: int) -> list[tuple[str, ...]]:
    """Rows of a table: how long the digests of one file take, and how much memory; the file is in memory."""
    _fill(file := folder / "file", size)
    rows: list[tuple[str, ...]] = []
    for name, code in _DIGESTS.items():
        lines = f"import time; from pathlib import Path; file = Path({str(file)!r}); {code or 'pass'}"
        command = [sys.executable, "-c", lines] if code else ["sha256sum", str(file)]
        start = [sys.executable, "-c", lines.replace("(file)", "")]
        seconds, peak = _measured(command, folder, {})
        # an interpreter's start and its imports are not what is asked about
        idle, before = _measured(start, folder, {}) if code else (0.0, 0.0)
        spent = seconds - idle
        rows.append((name, f"{spent:.2f}", f"{size / spent / 1e6:.0f}", f"{peak - before:.0f}"))
    return rows


class _Ours:
    """The command, in the mirror's own dataset."""

    name, dandiset = "dandi-mirror upload", OURS

    def __init__(self, work: Path, api_url: str) -> None:
        work.mkdir()
        self._work = work
        self._environment = {token_variable(api_url): TOKEN}
        self._where = ["-i", api_url]
        self.files = work / "mirror" / OURS / "sub-1"
        _measured([_program("dandi-mirror"), "sync", OURS, "-d", "mirror", *self._where], work, self._environment)

    def upload(self) -> tuple[float, float]:
        """Seconds, and MiB of memory at most."""
        command = [_program("dandi-mirror"), "upload", "--validation", "skip", "--include", "*.dat", *self._where]
        return _measured(command, self.files.parent, self._environment)


class _Dandi:
    """The stock client, in a folder of plain files."""

    name, dandiset = "dandi upload -J 6", THEIRS

    def __init__(self, work: Path, api_url: str) -> None:
        work.mkdir()
        (work / "dandiset.yaml").write_text(f"identifier: '{THEIRS}'\n")
        self._work = work
        self._environment = {f"{urlsplit(api_url).netloc}_API_KEY": TOKEN, "DANDI_DEVEL": "1"}
        self._api_url = api_url
        self.files = work / "sub-1"

    def upload(self) -> tuple[float, float]:
        """Seconds, and MiB of memory at most."""
        options = ["-J", "6:5", "-i", self._api_url, "--validation", "skip", "--allow-any-path"]
        return _measured([_program("dandi"), "upload", *options, "."], self._work, self._environment)


class _Bare:
    """What sends and registers, without git, metadata and sync."""

    name, dandiset = "of which sending", BARE

    def __init__(self, work: Path, api_url: str) -> None:
        work.mkdir()
        self._work = work
        self._api_url = api_url
        self.files = work / "sub-1"

    def upload(self) -> tuple[float, float]:
        """Seconds, and MiB of memory at most."""
        command = [sys.executable, "-m", "benchmarks.uploading", "send", self._api_url, str(self._work)]
        return _measured(command, Path(__file__).parents[1], {})


def _send(api_url: str, work: Path) -> None:
    from dandi_mirror.archive.http.session import Session
    from dandi_mirror.upload.change.register import AssetChange, register_assets
    from dandi_mirror.upload.send.send_files import send_blobs
    from dandi_mirror.upload.send.types import Sent, SourceFile

    files = sorted((work / "sub-1").iterdir())
    with closing(Session(api_url, TOKEN)) as session:

        def changes() -> Iterator[AssetChange]:
            sources = [SourceFile(file, f"sub-1/{file.name}", BARE) for file in files]
            for sent in send_blobs(session, sources, work / "state"):
                assert isinstance(sent, Sent), sent
                record = {"path": sent.source.path, "schemaKey": "Asset", "encodingFormat": "application/octet-stream"}
                yield AssetChange(record, sent.blob)

        list(register_assets(session, BARE, changes()))


def _serve(bucket_url: str = "") -> None:
    from dandi_mirror.embedded import Archive, serve
    from dandi_mirror.embedded.bucket.outside import OutsideBucket
    from tests.support.seaweed import KEY

    bucket = OutsideBucket(bucket_url, KEY) if bucket_url else None
    archive = Archive(instance_name="DANDI", gzip=False, s3=bucket)
    archive.add_user("owner@nil.nil", TOKEN)
    for dandiset in (OURS, THEIRS, BARE):
        archive.create_dandiset(dandiset, owners=("owner@nil.nil",))
    with serve(archive) as server:
        print(server.api_url, flush=True)
        sys.stdin.read()


def _make(folder: Path, count: int, size: int) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        _fill(folder / f"{number:05}.dat", size)


def _fill(file: Path, size: int) -> None:
    with file.open("wb") as out:
        for start in range(0, size, 1 << 20):
            out.write(os.urandom(min(1 << 20, size - start)))


def _remove(folder: Path) -> None:
    subprocess.run(["chmod", "-R", "u+w", folder], check=True)
    shutil.rmtree(folder)


def _program(name: str) -> str:
    found = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert found, f"{name} is not installed"
    return found


def _measured(command: list[str], folder: Path, more: Mapping[str, str]) -> tuple[float, float]:
    """Seconds of a program, and MiB of memory at most."""
    environment = child_environment() | {
        **{name: value for name, value in os.environ.items() if name.startswith("DANDI_MIRROR_")},
        "HOME": os.environ["HOME"], "DANDI_NO_ET": "1", "DANDI_CACHE": "ignore", "NO_PROXY": "*",
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring", **more,
    }  # fmt: skip
    start = time.monotonic()
    child = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    assert child.stderr
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in {0, 3}:  # 3: the sync afterwards had findings
        raise RuntimeError(f"{' '.join(command)[:200]} ended with {child.returncode}: {said.decode()[-1000:]}")
    return time.monotonic() - start, usage.ru_maxrss / 1024


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        _serve(*sys.argv[2:])
    else:
        _send(sys.argv[2], Path(sys.argv[3]))
