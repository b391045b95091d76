"""The folder of partial files stays open between two files; what happens to its path meanwhile misleads nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dandi_mirror.archive.content.partials import PartialFolder
from dandi_mirror.errors import DiskError, LockedError

pytestmark = pytest.mark.quick


@pytest.fixture
def kept() -> Iterator[PartialFolder]:
    with closing(PartialFolder()) as folder:
        yield folder


def write(kept: PartialFolder, file: Path) -> None:
    with kept.opened(file) as descriptor:
        os.write(descriptor, b"bytes")


def test_a_folder_that_is_removed_between_two_files_is_made_again(kept: PartialFolder, tmp_path: Path) -> None:
    folder = tmp_path / "partials"
    write(kept, folder / "one")
    shutil.rmtree(folder)
    write(kept, folder / "two")
    assert [file.name for file in folder.iterdir()] == ["two"]


def test_a_link_in_its_place_is_not_followed(kept: PartialFolder, tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "partials", tmp_path / "elsewhere"
    elsewhere.mkdir()
    write(kept, folder / "one")
    folder.rename(tmp_path / "moved")
    folder.symlink_to(elsewhere)
    write(kept, folder / "two")
    assert (tmp_path / "moved/two").read_bytes() == b"bytes"
    shutil.rmtree(tmp_path / "moved")
    with pytest.raises(DiskError, match="partials is a link"):
        write(kept, folder / "three")
    assert not list(elsewhere.iterdir())


def test_a_link_in_place_of_a_partial_file_is_refused(kept: PartialFolder, tmp_path: Path) -> None:
    write(kept, tmp_path / "partials/one")
    (tmp_path / "partials/two").symlink_to(tmp_path / "victim")
    with pytest.raises(DiskError, match="two is a link"):
        write(kept, tmp_path / "partials/two")
    assert not (tmp_path / "victim").exists()


def test_a_partial_file_keeps_its_bytes_and_is_one_runs_at_a_time(kept: PartialFolder, tmp_path: Path) -> None:
    file = tmp_path / "partials/one"
    write(kept, file)
    with closing(PartialFolder()) as other, kept.opened(file) as descriptor:
        assert os.pread(descriptor, 9, 0) == b"bytes"
        with pytest.raises(LockedError), other.opened(file):
            pass


def test_files_of_two_folders_do_not_mix(kept: PartialFolder, tmp_path: Path) -> None:
    for name in ("a/one", "b/one", "a/two"):
        write(kept, tmp_path / name)
    assert sorted(str(file.relative_to(tmp_path)) for file in tmp_path.glob("[ab]/*")) == ["a/one", "a/two", "b/one"]
