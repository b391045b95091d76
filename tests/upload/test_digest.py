"""Digests of files in one pass: those of the bytes, for any size, in little memory."""

from __future__ import annotations

import hashlib
import os
import tracemalloc
from pathlib import Path

import pytest
from dandischema.digests.dandietag import DandiETag

from dandi_mirror import digests
from dandi_mirror.upload.send import digest as module
from dandi_mirror.upload.send.digest import SMALL, digest, digest_of
from tests.support.sending import MIB, PART


def file_of(folder: Path, size: int) -> Path:
    file = folder / f"{size}.dat"
    file.write_bytes(os.urandom(size))
    return file


@pytest.mark.parametrize("size", [0, 1, SMALL - 1, SMALL, SMALL + 1, 10 * MIB, 10 * MIB + 1, 33 * MIB - 1])
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_the_digests_are_those_of_the_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, threads: int
) -> None:
    monkeypatch.setattr(digests, "ETAG_PART", 2 * MIB)
    monkeypatch.setattr(os, "cpu_count", lambda: threads)
    found, content = digest(file := file_of(tmp_path, size)), (tmp_path / f"{size}.dat").read_bytes()
    assert (found.size, found.sha256) == (size, hashlib.sha256(content).hexdigest())
    assert found.etag == digests.dandi_etag(content)
    parts = [content[start : start + 2 * MIB] for start in range(0, size, 2 * MIB)]
    assert found.parts == tuple(hashlib.md5(part).hexdigest() for part in parts)
    file.unlink()


def test_the_etag_is_the_one_that_dandi_computes(tmp_path: Path) -> None:
    file = file_of(tmp_path, PART + 12_345)
    assert digest(file).etag == DandiETag.from_file(str(file)).as_str()


def test_memory_does_not_depend_on_the_size(tmp_path: Path) -> None:
    file = file_of(tmp_path, PART + MIB)
    tracemalloc.start()
    try:
        digest(file)
        assert tracemalloc.get_traced_memory()[1] < 2 * MIB
    finally:
        tracemalloc.stop()


def test_a_file_that_ends_early_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    descriptor = os.open(file := file_of(tmp_path, 8 * MIB), os.O_RDONLY)
    work = module._DigestJob(descriptor, 9 * MIB)
    work.run()
    assert isinstance(work.failure, OSError) and "early" in str(work.failure)
    os.close(descriptor)
    with pytest.raises(OSError):
        digest_of(descriptor)
    with pytest.raises(FileNotFoundError):
        digest(file.with_name("nowhere"))
