"""Finding Dandisets and files by words."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from tests.conftest import MirrorOfTest, run
from tests.support.searching import OLD_B, TAG, A, B, answer, ask, paths

VIDEO, COPY = "000200@draft/sub-P1/night 1/sub-P1_video.mp4", "000200@draft/sub-P1/copy.nwb"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (["ecephys"], [A]),
        (["ECEph"], [A]),
        (["subject:a"], [A]),
        (["species:human"], [VIDEO]),
        (['species:"mus musculus"', "subject:b"], [B]),
        (["species:mus musculus", "session:3"], [B]),
        (["technique:spike sorting"], [B]),
        (['technique:"sorting spike"'], []),
        (["hippocampus", "ecephys"], [A]),
        (["hippocampus"], [A, B]),
        (["place", "dark"], [A, B]),
        (['"cells place"'], []),
        (["keyword:place name:hippo"], [A, B]),
        (["path:night"], [VIDEO]),
        (["file_type:video"], [VIDEO]),
        (["file_type:nwb dandiset:000200"], [COPY]),
        (["DANDI:000200/draft", "file_type:APPLICATION/x"], [COPY]),
        (["published_after:2024-01-01"], [A, B]),
        (["published_before:2024-01-01"], []),
        (["created_before:2000-01-01"], []),
        (["human", "hippocampus"], []),
        (["'", '"', "*", "NEAR(a b)", "ecephys"], []),
    ],
    ids=" ".join,
)
def test_words_and_operators_find_files_and_name_a_version_that_holds_them(
    query: list[str], found: list[str], asked: MirrorOfTest
) -> None:
    assert paths(answer(asked, *query)) == found


def test_what_only_an_older_version_holds_is_found_on_demand(asked: MirrorOfTest) -> None:
    assert paths(answer(asked, "session:2")) == []
    assert paths(answer(asked, "session:2", old=True)) == [OLD_B]
    assert paths(answer(asked, "subject:b", old=True)) == [OLD_B, B]


def test_each_hit_is_a_command_and_output_is_bounded(asked: MirrorOfTest) -> None:
    out, err = ask(asked, "search", "path:night")
    assert err == ""
    command = shlex.split(out.splitlines()[1], comments=True)
    assert command == ["dandi-mirror", "get", "000200@draft", "sub-P1/night 1/sub-P1_video.mp4"]
    out, _ = ask(asked, "search", "file_type:nwb", "--limit", "1", "--files", "1")
    assert out.splitlines()[0] == "000123  Hippocampus of mice  (2 files, 6 bytes)"
    assert out.splitlines()[2:] == ["  … and 1 more files (--files 2)", "… and 1 more Dandisets (--limit 2)"]


def test_the_command_of_a_hit_gets_the_file(made: MirrorOfTest) -> None:
    out, _ = ask(made, "search", "night", "session:2", "--old", "-f", "json")
    assert '"files": 0' in out
    for query, path, content in (
        ("path:night", "sub-P1/night 1/sub-P1_video.mp4", b"three"),
        ("session:2", "sub-b/sub-b_ses-3.nwb", b"two"),  # the version has it at another path
    ):
        out, _ = ask(made, "search", query, "--old", "-f", "json")
        _, hit, _ = [json.loads(line) for line in out.splitlines()]
        run(*shlex.split(hit["command"]), cwd=made.path)
        assert (made.path / hit["dandiset"] / path).read_bytes() == content
        made.server.requests.clear()


def test_records_have_datalads_keys_and_a_summary_that_counts_all(asked: MirrorOfTest, tmp_path: Path) -> None:
    out, _ = ask(asked, "search", "one OR", "-f", "json", "-d", str(asked.path), cwd=tmp_path)
    *none, end = [json.loads(line) for line in out.splitlines()]
    assert (none, end["files"], end["dandisets"]) == ([], 0, 0)
    out, _ = ask(asked, "search", "subject:a", "-f", "json", "-d", str(asked.path), cwd=tmp_path)
    dandiset, file, end = [json.loads(line) for line in out.splitlines()]
    assert {"action", "path", "type", "refds", "status", "message", "command"} <= set(dandiset) & set(file)
    assert dandiset["command"] == shlex.join(["dandi-mirror", "get", f"000123@{TAG}", "-d", str(asked.path)])
    assert file["path"] == str(asked.path / "000123" / "sub-a/sub-a_ses-1_ecephys.nwb")
    assert (file["fields"]["species"], file["fields"]["session"]) == (["Mus musculus - House mouse"], ["1"])
    assert (end["dandisets"], end["files"], end["bytes"]) == (1, 1, 3)


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        (["speces:mouse"], "did you mean species:mouse?"),
        (["doi:10.48324"], "'\"doi:10.48324\"' with both quotes"),
        (["owner:jane"], "contributor:jane"),
        (["created_after:soon"], "created_after:2024-01-31"),
        (["modified_before:20240131T00"], "write it as modified_before:2024-01-31"),
        ([" "], "nothing to search for"),
        (['""'], "nothing to search for"),
        (["x"] * 33, "at most 32"),
    ],
)
def test_what_cannot_be_asked_is_said_in_one_line_with_what_can(
    query: list[str], hint: str, asked: MirrorOfTest
) -> None:
    _, err = ask(asked, "search", *query, code=2)
    assert hint in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("hipocampus", "nothing has 'hipocampus' (did you mean hippocampus?)"),
        ("species:muculus", "nothing has 'muculus' (did you mean musculus?)"),
        ("campus", "nothing has 'campus' (did you mean hippocampus?)"),
        ("zzzzzz", "nothing has 'zzzzzz'"),
        ("sleep hippocampus", "nothing has all of these together"),
        ("+++", "nothing has this"),
    ],
)
def test_what_is_not_there_is_no_failure_and_what_is_nearly_so_is_named(
    query: str, said: str, asked: MirrorOfTest
) -> None:
    assert ask(asked, "search", query) == ("", f"{said}\n")
