"""The ``.gitmodules`` of a Dandiset with Zarrs: git reads it as we wrote it, and we read nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dandi_mirror.mirror.zarr.gitmodules import ZarrModule, gitmodules, read_gitmodules, refuse_module
from dandi_mirror.paths import refuse_path
from tests.conftest import run
from tests.support.values import PATHS, PIECES, QUICK
from tests.support.zarr_entries import ZARR

pytestmark = pytest.mark.quick

SUM = f"{10:032x}-1--2"
ADMITTED = [
    path
    for path in (*PIECES, "a;b", "a#b", 'a "b"', '"', ' "', "a=b", "a]b", "[a", "a b.zarr", "é/日.zarr", "a/b#;.zarr")
    if refuse_path(path) is None and refuse_module(path) is None
]


def module(path: str) -> ZarrModule:
    return ZarrModule(path, ZARR, SUM)


def test_git_reads_every_admitted_path_as_it_was_written(tmp_path: Path) -> None:
    assert len(ADMITTED) > 40
    (tmp_path / "modules").write_bytes(gitmodules(map(module, ADMITTED)))
    told = run("git", "config", "--file", str(tmp_path / "modules"), "--list", "-z").stdout.split("\0")[:-1]
    pairs = [entry.partition("\n")[::2] for entry in told]
    for name in ("path", "zarr-id", "zarr-checksum", "url", "datalad-id"):
        wanted = {path: path if name == "path" else None for path in ADMITTED}
        ending = f".{name}"
        found = {
            key.removeprefix("submodule.").removesuffix(ending): value for key, value in pairs if key.endswith(ending)
        }
        assert found.keys() == wanted.keys()
        assert name != "path" or found == wanted
    assert {value for key, value in pairs if key.endswith(".url")} == {f"../zarr/0c1/f3f/{ZARR}.git"}


def test_the_file_of_one_zarr_is_this() -> None:
    assert gitmodules([module("sub-1/x.ome.zarr")]).decode() == (
        '[submodule "sub-1/x.ome.zarr"]\n'
        "\tpath = sub-1/x.ome.zarr\n"
        "\turl = ../zarr/0c1/f3f/0c1f3f9e-7d5f-4b8c-9b1a-2f6f1f0d9a11.git\n"
        "\tdatalad-id = 325325d4-9461-5d71-81ab-b3d8c9b5c45c\n"
        "\tzarr-id = 0c1f3f9e-7d5f-4b8c-9b1a-2f6f1f0d9a11\n"
        "\tzarr-checksum = 0000000000000000000000000000000a-1--2\n"
    )


@given(st.lists(PATHS | st.sampled_from(ADMITTED), unique=True))
@QUICK
def test_what_is_written_is_read_again(paths: list[str]) -> None:
    fit = sorted(path for path in paths if refuse_path(path) is None and refuse_module(path) is None)
    content = gitmodules(map(module, fit))
    assert read_gitmodules(content) == {path: module(path) for path in fit}
    assert gitmodules(map(module, reversed(fit))) == content


def test_sections_are_sorted_by_bytes() -> None:
    content = gitmodules(map(module, ["b", "é", "z", "a/b", "a-b"]))
    assert list(read_gitmodules(content)) == ["a-b", "a/b", "b", "z", "é"]


@given(st.binary() | st.text('[]submodule "\\\n\t=path.git/-', max_size=60).map(str.encode))
@QUICK
def test_any_bytes_are_read_without_an_error(content: bytes) -> None:
    ours = gitmodules([module("ours")])
    for everything in (content, ours + b"\n" + content, content + b"\n" + ours):
        assert read_gitmodules(everything).keys() <= {"ours"}


GOOD = gitmodules([module("a")]).decode()


@pytest.mark.parametrize(
    "section",
    [
        GOOD.replace(" a\n", " ../a\n").replace('"a"', '"../a"'),
        GOOD.replace(" a\n", " .git/hooks\n").replace('"a"', '".git/hooks"'),
        GOOD.replace(" a\n", " -a\n").replace('"a"', '"-a"'),
        GOOD.replace(" a\n", " b\n"),
        GOOD.replace("../zarr", "https://elsewhere.example/zarr"),
        GOOD.replace(ZARR, ZARR.upper()),
        GOOD.replace(ZARR, "../../../x"),
        GOOD.replace(SUM, "x"),
        GOOD.replace("\tzarr-id", "\tupdate = !program\n\tzarr-id"),
        GOOD + "\tpath = b\n",
        GOOD.replace('"a"', '"a\\n"'),
        GOOD + GOOD,
    ],
)
def test_a_section_that_a_sync_could_not_have_written_is_left_out(section: str) -> None:
    assert section != GOOD
    other = gitmodules([module("other")])
    assert read_gitmodules(section.encode() + other) == {"other": module("other")}


def test_a_path_that_git_would_take_for_an_option_is_refused(tmp_path: Path) -> None:
    assert refuse_module("-a") and refuse_module("a-") is None and refuse_module("a/-b") is None
    run("git", "init", "--quiet", str(tmp_path))
    for path, code in (("a/-b", 0), ("-a", None)):
        content = gitmodules([module(path)])
        (tmp_path / "file").write_bytes(content)
        blob = run("git", "-C", str(tmp_path), "hash-object", "-w", "file").stdout.strip()
        tree = run("git", "-C", str(tmp_path), "mktree", stdin=f"100644 blob {blob}\t.gitmodules\n").stdout.strip()
        commit = run(
            "git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=b", "commit-tree", tree, stdin="x"
        )
        run("git", "-C", str(tmp_path), "update-ref", "refs/heads/x", commit.stdout.strip())
        done = run("git", "-C", str(tmp_path), "fsck", "--strict", code=code)
        assert ("gitmodulesPath" in done.stderr) is (path == "-a")


def test_a_path_that_begins_with_a_dash_is_refused_with_the_reason() -> None:
    assert refuse_module("-a.zarr") == "a Zarr's path that begins with a dash"
    assert refuse_module("a/-b.zarr") is None


def test_a_backslash_and_a_quotation_mark_are_escaped() -> None:
    assert b'[submodule "a\\\\b\\"c"]\n\tpath = "a\\\\b\\"c"\n' in gitmodules([module('a\\b"c')])


@pytest.mark.parametrize("name", ["path", "zarr-id", "zarr-checksum"])
def test_a_section_that_lacks_a_value_is_nobodys_and_the_others_are_read(name: str) -> None:
    lines = [line for line in GOOD.split("\n") if not line.startswith(f"\t{name} ")]
    assert read_gitmodules("\n".join(lines).encode() + gitmodules([module("b")])) == {"b": module("b")}


def test_empty_lines_behind_a_section_do_not_count() -> None:
    assert read_gitmodules(GOOD.encode() + b"\n\n") == {"a": module("a")}
    assert read_gitmodules(GOOD.encode() + b" \n") == {}
    assert read_gitmodules(GOOD.encode() + b"X\n") == {}
