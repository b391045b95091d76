"""What is admitted is a tree that git takes everywhere; git itself is the judge."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dandi_mirror import paths
from dandi_mirror.paths import conflicts, refuse_path
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.stream import LINK, Commit, Inline
from tests.conftest import run
from tests.support.values import PATHS, PIECES, QUICK, SLOW

pytestmark = pytest.mark.quick

EARLY = datetime(2024, 1, 2, tzinfo=UTC)


def admitted(paths: Iterable[object]) -> list[str]:
    """The paths of which a tree may be made."""
    taken = sorted({path for path in paths if isinstance(path, str) and refuse_path(path) is None})
    clashing = conflicts(taken)
    return [path for path in taken if path not in clashing]


def planted(folder: Path, paths: Iterable[str]) -> Dataset:
    """A repository with a link at each path, by a real fast-import, judged by no rule of ours."""
    dataset = Dataset(folder)
    dataset.create("draft")
    with dataset.importing() as importer:
        links = [(path, Inline(b"x", LINK)) for path in paths]
        importer.commit(Commit("refs/heads/draft", EARLY, "planted\n"), (), links)
    return dataset


def planted_as_trees(folder: Path, names: Sequence[str]) -> None:
    """A repository with a folder for each name, numbered, with a link of that name; a new fast-import refuses some."""
    Dataset(folder).create("draft")

    def made(command: list[str], stdin: str) -> list[str]:
        return run("git", "-C", str(folder), *command, stdin=stdin).stdout.split()

    (blob,) = made(["hash-object", "-w", "--stdin"], "x")
    trees = made(["mktree", "-z", "--batch"], "\0\0".join(f"120000 blob {blob}\t{name}" for name in names) + "\0")
    (top,) = made(["mktree", "-z"], "".join(f"040000 tree {tree}\t{n:05d}\0" for n, tree in enumerate(trees)))
    (commit,) = made(["commit-tree", "-m", "planted", top], "")
    run("git", "-C", str(folder), "update-ref", "refs/heads/draft", commit)


def complaints(folder: Path) -> str:
    """What ``git fsck --strict`` says."""
    done = run("git", "-C", str(folder), "fsck", "--strict", "--no-progress", code=None)
    return done.stdout + done.stderr


def check_tree(folder: Path, paths: list[str]) -> None:
    """The paths and nothing else come out of git again: listed, checked out, taken by a strict server."""
    dataset = planted(folder / "there", paths)
    assert sorted(dataset.tree("refs/heads/draft")) == sorted(paths)
    assert complaints(folder / "there") == ""
    run("git", "clone", "--quiet", str(folder / "there"), str(folder / "clone"))
    out = {str(path.relative_to(folder / "clone")) for path in (folder / "clone").rglob("*") if path.is_symlink()}
    assert out == set(paths)
    assert run("git", "-C", str(folder / "clone"), "status", "--porcelain").stdout == ""
    run("git", "init", "--quiet", "--bare", str(folder / "strict"))
    run("git", "-C", str(folder / "strict"), "config", "receive.fsckObjects", "true")
    run("git", "-C", str(folder / "there"), "push", "--quiet", str(folder / "strict"), "draft")


@given(st.lists(PATHS, min_size=200, max_size=400))
@SLOW
def test_whatever_is_admitted_makes_a_tree_that_git_takes(tmp_path_factory: Any, paths: list[str]) -> None:
    check_tree(tmp_path_factory.mktemp("tree"), admitted(paths))


def test_every_pair_of_hostile_names_makes_a_tree_that_git_takes(tmp_path: Path) -> None:
    pairs = product(enumerate(PIECES), PIECES)
    paths = admitted([*PIECES, *(f"{number}/{one}/{two}/{one}" for (number, one), two in pairs)])
    assert len(paths) > 500
    check_tree(tmp_path, paths)


def _short_names() -> list[str]:
    """Names that Windows may give to git's own files: every stem with a number behind it."""
    stems = [
        "git",
        "gitmod",
        "gitatt",
        "gitign",
        "mailma",
        "gi7eba",
        "gi7d29",
        "gi250a",
        "maba30",
        "prog",
        "x",
    ]
    stems += [stem[:length] for stem in stems for length in range(len(stem))]
    numbers = [
        "0",
        "1",
        "2",
        "4",
        "5",
        "9",
        "12",
        "123",
        "1234",
        "12345",
        "123456",
        "1234567",
        "12345678",
        "01",
    ]
    return [f"{stem}~{number}{end}" for stem in sorted(set(stems)) for number in numbers for end in ("", ".", " ")]


def test_no_name_that_git_takes_for_one_of_its_own_files_is_admitted(tmp_path: Path) -> None:
    names = [
        *_short_names(),
        *(name.upper() for name in _short_names()),
        ".gitmodules",
        ".GITMODULES ",
        ".mailmap",
    ]
    planted_as_trees(tmp_path / "all", names)
    accused = {line.split(":")[0].split()[-1] for line in complaints(tmp_path / "all").splitlines() if "tree" in line}
    assert len(accused) > 30, "git itself takes these names for its own"
    trees = run("git", "-C", str(tmp_path / "all"), "ls-tree", "draft").stdout.splitlines()
    folders = {line.split()[2]: names[int(line.split("\t")[1])] for line in trees}
    # equal names make equal trees, so one folder may stand for several
    guilty = {folders[tree] for tree in accused}
    assert {name for name in guilty if refuse_path(name) is None} == set()
    assert {name for name in ("prog~1", "x~1", "sub-1~2.nwb", "~backup", "a~") if refuse_path(name)} == set()


@pytest.mark.parametrize(
    "path",
    [
        "sub-01/sub-01_ses-2_ecephys.nwb", " lead.txt", "trail.txt ", "[x]^_`.nwb", "-rf", "()", "~", "#",
        "CON", "A.TXT", ".hidden/file", "sub/.dandi/x", "sub/dandiset.yaml", "a.git/config", "x.gitignore",
        "nul.txt", "--", "a" * 255, "/".join(["d"] * 64), "日本/é.nwb", "a~1.nwb", "git", "gitmodules",
        "HEAD", "refs/heads/x", "x.lock",
    ],
)  # fmt: skip
def test_an_odd_but_harmless_name_is_kept(path: str) -> None:
    assert refuse_path(path) is None


@pytest.mark.parametrize(
    "path",
    [
        "", "/", "/etc/passwd", "a//b", "a/", "./a", "../a", "a/../b", ".", "a/.", "a\nb", "a\n", "a\tb",
        "a\rb", "\x00", ".git", ".git/config", "sub/.git/hooks/post-checkout", ".GIT/x", ".git ",
        ".git. .", "git~1/config", "GIT~1", ".gitmodules", "x/.gitattributes", ".g\u200cit/x",
        ".\uff47\uff49\uff54/x", "\u2024git/config", ".mailmap", ".datalad/config", ".DATALAD/x",
        ".dandi/assets.json", ".Dandi ", "dandiset.yaml", "DandiSet.YAML. ", "a\\b", "gitmod~1",
        "~1234567", "gi7eba~1", "a" * 256, "é" * 128, "/".join(["d"] * 65), "a/" * 63 + "b" * 900 + "/x",
        "\ud800", "a\u2028b", "a\u202eb", "\x7f", "a\x85b", "a\u034fb", "\u115f", "\U000e0100", None, 1,
        ["a"], b"a", True,
    ],
)  # fmt: skip
def test_a_name_that_could_do_harm_is_refused_with_a_reason(path: object) -> None:
    reason = refuse_path(path)
    assert reason and reason.isprintable()


@given(PATHS | st.text(" .a/A1_-git", max_size=300))
@QUICK
def test_the_fast_way_and_the_slow_way_decide_the_same(path: str) -> None:
    slow = paths._refuse_text(path) or paths._refuse_shape(path) or paths._refuse_names(path.split("/"))
    assert (refuse_path(path) is None) == (slow is None)


def test_the_decision_is_the_same_for_every_release_of_unicode() -> None:
    known = unicodedata.ucd_3_2_0
    newer = [chr(code) for code in range(0x80, 0x110000) if known.category(chr(code)) == "Cn"]
    assert [letter for letter in random.Random(1).sample(newer, 5000) if refuse_path(f"a{letter}b") is None] == []


@given(
    st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=1, max_size=4).map("/".join).flatmap(st.just),
    st.data(),
)
@QUICK
def test_of_a_file_and_a_folder_of_one_name_no_side_wins(first: str, data: Any) -> None:
    more = data.draw(st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=4).map("/".join), max_size=12))
    paths = {first, *more}
    found = conflicts(paths)
    assert conflicts(sorted(paths, reverse=True)) == found
    for path in paths:
        above = any(other.startswith(path + "/") for other in paths)
        below = any(path.startswith(other + "/") for other in paths)
        assert (path in found) == (above or below)
    assert conflicts(paths - set(found)) == {}
