"""What organize, validate and upload leave out unless somebody asks for it: one rule, and the three agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from dandi_mirror.repo.annex.edits import LocalEdit
from dandi_mirror.repo.annex.repository import AnnexRepository
from dandi_mirror.upload.change.local_state import read_local_state
from dandi_mirror.upload.kinds import Kinds, is_leftover
from dandi_mirror.upload.organize.sources import find_sources
from dandi_mirror.upload.validate import select_targets
from tests.conftest import run

pytestmark = pytest.mark.quick

TAKEN = ("a.nwb", "sub-1/a.nwb", "core/a.nwb", "a~b.nwb", "sub-1/x.zarr", "sub-1/y.ngff")
LEFT = (
    ".a.nwb", "sub-1/.a.nwb", ".cache/a.nwb", "sub-1/.tmp/deep/a.nwb", "._a.nwb", "~$a.nwb", "__pycache__/a.nwb",
    "a.nwb.dandidownload/a.nwb", ".ipynb_checkpoints/a.nwb", ".x.zarr", "sub-1/.tmp/x.zarr", "__pycache__/x.zarr",
)  # fmt: skip
KNOWN_TO_GIT = (".a.nwb", ".cache/a.nwb", ".x.zarr", "sub-1/.tmp/x.zarr")
"""Hidden, but somebody added them."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A work tree with all of these; a Zarr has one file."""
    run("git", "init", "-q", cwd=tmp_path)
    for path in map(tmp_path.joinpath, files_of(*TAKEN, *LEFT)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"content")
    return tmp_path


def files_of(*paths: str) -> list[str]:
    return [path if path.endswith(".nwb") else f"{path}/.zgroup" for path in paths]


def uploaded(folder: Path, *tracked: str) -> set[str]:
    files = files_of(*TAKEN, *LEFT)
    known = set(files_of(*tracked))
    edits = [LocalEdit(path, size=7, tracked=path in known) for path in files]
    ours = read_local_state(AnnexRepository(folder), {}, {}, edits, Kinds.of(files))
    assert not {*ours.here} & {*ours.junk} and {*ours.here} | {*ours.junk} == {*TAKEN, *LEFT}
    return {*ours.here}


def validated(folder: Path, *tracked: str) -> set[str]:
    files = files_of(*TAKEN, *LEFT)
    targets = select_targets(folder, files, Kinds.of(files), tracked)
    return {*targets.present, *targets.missing, *targets.strange}


def organized(folder: Path) -> set[str]:
    found, refused = find_sources([folder])
    return {str(path.relative_to(folder)) for path in (*found, *(one.source for one in refused))}


def test_the_rule_leaves_out_what_programs_leave_behind_and_what_is_hidden() -> None:
    assert [path for path in (*TAKEN, *LEFT) if is_leftover(path)] == [*LEFT]
    assert not is_leftover("raw/.bidsignore"), "BIDS reads it"


def test_what_git_knows_is_taken_although_it_is_hidden_but_not_what_a_program_left() -> None:
    assert [path for path in LEFT if not is_leftover(path, tracked=True)] == [
        ".a.nwb", "sub-1/.a.nwb", ".cache/a.nwb", "sub-1/.tmp/deep/a.nwb", ".x.zarr", "sub-1/.tmp/x.zarr",
    ]  # fmt: skip


def test_organize_validate_and_upload_agree_on_what_they_leave_out(folder: Path) -> None:
    assert organized(folder) == validated(folder) == uploaded(folder) == {*TAKEN}


def test_validate_and_upload_agree_on_hidden_files_that_somebody_added_to_git(folder: Path) -> None:
    assert validated(folder, *KNOWN_TO_GIT) == uploaded(folder, *KNOWN_TO_GIT) == {*TAKEN, *KNOWN_TO_GIT}
