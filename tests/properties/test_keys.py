"""Keys and where they stand, judged by git-annex itself: one process for thousands of names."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dandi_mirror.paths import refuse_path
from dandi_mirror.repo.annex.keys import annex_key, extension, hash_dir_lower, hash_dir_mixed, link_target
from tests.conftest import run
from tests.support.values import LETTERS, PIECES, QUICK, SLOW

pytestmark = pytest.mark.quick

SHA = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

SUFFIXES = st.text("abzAZ019_-. +~(", max_size=6)
NAMES = st.builds(lambda stem, ends: ".".join([stem, *ends]), SUFFIXES, st.lists(SUFFIXES, max_size=5)).filter(
    lambda name: name not in {"", ".", ".."}
)


@pytest.fixture
def annex(tmp_path: Path) -> Path:
    """A repository that git-annex is set up in."""
    repository = tmp_path / "annex"
    run("git", "init", "--quiet", str(repository))
    run("git", "annex", "init", "--quiet", "test", cwd=repository)
    return repository


def examine(annex: Path, lines: Iterable[str], *arguments: str) -> list[dict[str, Any]]:
    """What ``git annex examinekey --batch`` says of each line."""
    command = ["git", "annex", "examinekey", "--batch", "-z", "--json", *arguments]
    # git-annex 10.20230126 takes what follows a last NUL for one more line
    words = "\0".join(lines).encode()
    answer = subprocess.run(command, cwd=annex, input=words, capture_output=True, check=True)
    return [json.loads(line) for line in answer.stdout.splitlines()]


def migrated(annex: Path, names: list[str]) -> list[str]:
    """The keys that git-annex gives to one content under each of these names."""
    lines = [f"SHA256-s7--{SHA} {name}" for name in names]
    return [str(answer["key"]) for answer in examine(annex, lines, "--migrate-to-backend=SHA256E")]


def test_every_short_name_has_the_extension_that_git_annex_gives_it(annex: Path) -> None:
    ends = ["", ".", "a", ".nwb", ".tar", ".abcd", ".abcde", ".a_b", ". ", ".x y", "/.h"]
    starts = ["x", ".", "..h", ". .a", "d/.x"]
    names = [start + "".join(some) for start in starts for some in product(ends, repeat=3)]
    names = [name for name in names if name.rpartition("/")[2] not in {"", ".", ".."}]
    assert [annex_key(7, SHA, name) for name in names] == migrated(annex, names)


@given(st.lists(NAMES, min_size=100, max_size=100))  # hypothesis 6.105 searches for ever for 300 of them
@SLOW
def test_every_generated_name_has_the_extension_that_git_annex_gives_it(
    tmp_path_factory: Any, names: list[str]
) -> None:
    repository = tmp_path_factory.mktemp("annex")
    run("git", "init", "--quiet", str(repository))
    run("git", "annex", "init", "--quiet", "test", cwd=repository)
    assert [annex_key(7, SHA, name) for name in names] == migrated(repository, names)


def test_every_admitted_hostile_name_has_the_extension_that_git_annex_gives_it(annex: Path) -> None:
    names = [name for name in PIECES if refuse_path(name) is None and name.isascii()]
    assert len(names) > 20
    assert [annex_key(7, SHA, name) for name in names] == migrated(annex, names)


@given(st.text(LETTERS, min_size=1))
@QUICK
def test_a_key_is_always_plain_ascii_that_git_annex_reads_as_one_word(name: str) -> None:
    key = annex_key(7, SHA, name)
    assert key.isascii() and key.removeprefix(f"SHA256E-s7--{SHA}").replace(".", "").isalnum() is bool(extension(name))
    assert key.removeprefix(f"SHA256E-s7--{SHA}").count(".") <= 2


def test_links_and_logs_stand_where_git_annex_looks_for_them(annex: Path) -> None:
    keys = [annex_key(size, f"{size * 7919:064x}", f"x.{size}") for size in range(400)]
    for key, said in zip(keys, examine(annex, keys), strict=True):
        assert said["key"] == key
        assert said["hashdirlower"] == hash_dir_lower(key) + "/"
        assert said["hashdirmixed"] == hash_dir_mixed(key) + "/"
        assert link_target(key, 0) == said["objectpath"]
        assert link_target(key, 3) == "../../../" + said["objectpath"]
