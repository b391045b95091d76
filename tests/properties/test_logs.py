"""Logs of git-annex are read and written as git-annex does."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dandi_mirror.mirror.format.annex_metadata import annex_fields
from dandi_mirror.repo.annex import logs
from dandi_mirror.repo.annex.initialise_in_mirror import initialise_in_mirror
from dandi_mirror.repo.annex.keys import annex_key, hash_dir_lower
from dandi_mirror.repo.annex.logs import WEB, Stamp
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.stream import Commit, Inline
from tests.conftest import run
from tests.support.values import QUICK

pytestmark = pytest.mark.quick

NOW = datetime(2024, 5, 6, 7, 8, 9, 123456, UTC)
OTHER = "11111111-2222-4333-8444-555555555555"
VALUES = [
    "mouse 1", "plain", "!", "!bang", "+", "-", "a=b", "é", "日本", " lead", "a  b", "P9D", "100%", "x;y",
    "'", '"', "\\n", "\u00a0", "~", "(1)", "0", "a/b", "=", "*", "Mus musculus",
    "Mus musculus - House mouse", "-1", "+2", "!IQ==",
]  # fmt: skip
FIELDS = ["subject", "session", "species", "variable"]
WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=12)
STAMPS = st.integers(0, 4 * 10**15).map(Stamp)
LINES = st.builds(
    lambda seconds, fraction, flag, what: f"{seconds}{fraction}s {flag} {what}",
    st.integers(0, 2 * 10**9),
    st.sampled_from(["", ".1", ".123456", ".123456789", ".000000001"]),
    st.sampled_from("01"),
    WORDS,
)
ODD_LINES = st.sampled_from(
    ["x", "1s", "1s 2 a", "s 1 a", "-1s 1 a", "1 1 a", "\udcff 1 a", "9" * 5000 + "s 1 a", "1s 1 "]
)
LOGS = st.lists(LINES | ODD_LINES, max_size=8).map(
    lambda lines: "".join(line + "\n" for line in lines).encode(errors="surrogateescape")
)


@pytest.fixture
def annex(tmp_path: Path) -> Dataset:
    """A repository that git-annex is set up in."""
    dataset = Dataset(tmp_path / "annex")
    dataset.create("main")
    initialise_in_mirror(dataset, "test")
    return dataset


def write_branch(dataset: Dataset, files: Mapping[str, bytes]) -> None:
    """Put logs on the git-annex branch as a sync does."""
    branch = dataset.ref("refs/heads/git-annex")
    with dataset.importing() as importer:
        commit = Commit("refs/heads/git-annex", NOW, "update\n", base=branch)
        importer.commit(commit, (), [(path, Inline(content)) for path, content in files.items()])


def annex_batch(dataset: Dataset, *arguments: str, lines: list[str]) -> list[dict[str, Any]]:
    """What one git-annex process answers to many lines."""
    words = "".join(line + "\n" for line in lines).encode()
    answer = subprocess.run(
        ["git", "annex", *arguments], cwd=dataset.path, input=words, capture_output=True, check=True
    )
    return [json.loads(line) for line in answer.stdout.splitlines() if line]


def log_names(some: list[str]) -> list[tuple[str, str, str, str]]:
    """Each key with the paths of its location, URL and metadata logs."""
    paths = (logs.location_path, logs.url_path, logs.metadata_path)
    return [(key, *(path(hash_dir_lower(key), key) for path in paths)) for key in some]  # type: ignore[misc]


def keys(count: int) -> list[str]:
    return [annex_key(number, f"{number * 104729:064x}", f"f{number}.nwb") for number in range(count)]


def test_git_annex_reads_the_locations_and_urls_that_we_write(annex: Dataset) -> None:
    files: dict[str, bytes] = {}
    urls: dict[str, set[str]] = {}
    for number, (key, location, url, _) in enumerate(log_names(keys(60))):
        urls[key] = {
            f"https://dandiarchive.s3.amazonaws.com/blobs/{number}?versionId=a.b-{n}" for n in range(number % 3 + 1)
        }
        dead = {"https://api.dandiarchive.org/api/assets/x/download/"}
        files[location] = logs.with_presence(b"", Stamp.of(NOW), {WEB: True})
        before = logs.with_presence(b"", Stamp.of(NOW), dict.fromkeys(dead, True))
        files[url] = logs.with_presence(
            before, Stamp.of(NOW), dict.fromkeys(urls[key], True) | dict.fromkeys(dead, False)
        )
    write_branch(annex, files)
    said = {
        answer["key"]: answer for answer in annex_batch(annex, "whereis", "--json", "--batch-keys", lines=list(urls))
    }
    assert set(said) == set(urls)
    for key, answer in said.items():
        assert [place["uuid"] for place in answer["whereis"]] == [WEB]
        assert set(answer["whereis"][0]["urls"]) == urls[key]


def test_git_annex_reads_the_metadata_that_we_write_and_rewrite(annex: Dataset) -> None:
    files: dict[str, bytes] = {}
    wanted: dict[str, dict[str, set[str]]] = {}
    for number, (key, _, _, metadata) in enumerate(log_names(keys(len(VALUES)))):
        first = {(field, VALUES[(number + place) % len(VALUES)]) for place, field in enumerate(FIELDS)}
        second = {("subject", value) for value in VALUES[: number + 1]} | {("session", VALUES[number])}
        log = logs.with_fields(b"", Stamp.of(NOW), (), first)
        log = logs.with_fields(log, Stamp.of(NOW), first - second, second - first)
        assert logs.fields(log) == second
        files[metadata] = log
        wanted[key] = {field: {value for name, value in second if name == field} for field, _ in second}
    write_branch(annex, files)
    lines = [json.dumps({"key": key}) for key in wanted]
    for answer in annex_batch(annex, "metadata", "--json", "--batch", lines=lines):
        fields = {name: set(values) for name, values in answer["fields"].items() if not name.endswith("lastchanged")}
        assert fields == wanted[answer["key"]], answer["key"]


def test_what_git_annex_and_a_person_have_written_stays_byte_for_byte(annex: Dataset) -> None:
    """A clone's own location, a URL of a person, metadata by hand; then a sync adds its own."""
    some = keys(12)
    lines = "".join(f"{key} {OTHER} 1\n" for key in some).encode()
    subprocess.run(
        ["git", "annex", "setpresentkey", "--batch"],
        cwd=annex.path,
        input=lines,
        check=True,
        capture_output=True,
    )
    for key in some[:3]:
        run("git", "annex", "registerurl", key, f"https://example.org/{key}", cwd=annex.path)
        run(
            "git",
            "annex",
            "metadata",
            f"--key={key}",
            "-s",
            "note+=by hand",
            "-s",
            "subject=mine",
            cwd=annex.path,
        )
    run("git", "annex", "merge", cwd=annex.path)
    tree = annex.tree("refs/heads/git-annex")
    with annex.reader() as reader:
        held = dict(zip(tree, reader.read([oid for _, oid in tree.values()]), strict=True))
    files: dict[str, bytes] = {}
    for _, location, url, metadata in log_names(some):
        old = {path: held.get(path) or b"" for path in (location, url, metadata)}
        files[location] = logs.with_presence(old[location], Stamp.of(NOW), {WEB: True})
        files[url] = logs.with_presence(old[url], Stamp.of(NOW), {"https://s3.example.org/x": True})
        files[metadata] = logs.with_fields(old[metadata], Stamp.of(NOW), (), [("subject", "m1"), ("species", "Mus")])
        for path, content in old.items():
            kept = files[path].splitlines()
            assert [
                line for line in content.splitlines() if line not in kept and not line.endswith(b" " + WEB.encode())
            ] == []
    write_branch(annex, files)
    for answer in annex_batch(annex, "whereis", "--json", "--batch-keys", lines=some):
        assert {place["uuid"] for place in answer["whereis"]} == {WEB, OTHER}
    first = annex_batch(annex, "metadata", "--json", "--batch", lines=[json.dumps({"key": some[0]})])[0]["fields"]
    assert first["note"] == ["by hand"] and set(first["subject"]) == {"mine", "m1"} and first["species"] == ["Mus"]


@given(LOGS, STAMPS, st.dictionaries(WORDS, st.booleans(), max_size=4))
@QUICK
def test_lines_about_anything_else_stay_as_they_are(log: bytes, stamp: Stamp, present: dict[str, bool]) -> None:
    after = logs.with_presence(log, stamp, present)
    said, before = logs.present(after), logs.present(log)
    for what, there in present.items():
        assert said.get(what, False) == there
    assert {what: there for what, there in said.items() if what not in present} == {
        what: there for what, there in before.items() if what not in present
    }
    for line in log.split(b"\n"):
        # git-annex itself keeps only the newest line about a thing
        what = b" ".join(line.split(b" ")[2:]).decode(errors="surrogateescape")
        if line and (what not in before or (what not in present and log.count(line.split(b" ", 2)[-1]) == 1)):
            assert line in after.split(b"\n")


@given(LOGS, STAMPS, st.dictionaries(WORDS, st.booleans(), max_size=4))
@QUICK
def test_what_a_log_says_already_is_not_written_again(log: bytes, stamp: Stamp, present: dict[str, bool]) -> None:
    once = logs.with_presence(log, stamp, present)
    assert logs.with_presence(once, Stamp(stamp.micros + 5), present) == once
    if all(logs.present(log).get(what, False) == there for what, there in present.items()):
        assert once == log


@given(LOGS, STAMPS, st.lists(st.tuples(st.sampled_from(FIELDS), WORDS), max_size=5))
@QUICK
def test_metadata_only_ever_grows_by_one_whole_line(log: bytes, stamp: Stamp, add: list[tuple[str, str]]) -> None:
    after = logs.with_fields(log, stamp, (), set(add))
    assert after.startswith(log) and after.endswith(b"\n" if add else log[-1:])
    assert set(add) <= logs.fields(after)
    assert logs.fields(logs.with_fields(after, stamp, set(add), ())).isdisjoint(add)


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_log_whose_last_line_was_cut_off_is_not_joined_with_ours(end: bytes) -> None:
    log = b"1s subject +a" + end
    assert logs.fields(logs.with_fields(log, Stamp.of(NOW), (), [("subject", "b")])) == {
        ("subject", "a"),
        ("subject", "b"),
    }
    assert logs.with_remote(b"u-1 name=x" + end, "u-2", "name=y", Stamp.of(NOW)).splitlines()[0] == b"u-1 name=x"


@given(STAMPS, STAMPS)
@QUICK
def test_a_stamp_is_read_back_and_a_later_one_is_later(one: Stamp, two: Stamp) -> None:
    assert Stamp.parse(str(one)) == one
    assert one.after(two).micros > two.micros or one.after(two) == one
    assert one.after(two).micros >= one.micros


@pytest.mark.parametrize(
    "text",
    ["", "s", "1", "-1s", "1.s", "1.5", "1e5s", "٣s", "1s\n", "9" * 5000 + "s", "1." + "9" * 5000 + "s"],
)
def test_what_is_not_a_stamp_is_none(text: str) -> None:
    assert Stamp.parse(text) is None


HOSTILE: list[Any] = [
    None,
    True,
    1,
    1.5,
    [],
    {},
    "",
    " ",
    "x" * 201,
    "a\nb",
    "\ud800",
    "\u2028",
    [["x"]],
    [{"name": ["x"]}],
]
SOURCES = st.sampled_from(["wasAttributedTo", "approach", "measurementTechnique", "variableMeasured"])
NAMES = st.sampled_from(["identifier", "species", "sex", "age", "name", "value"])
ITEMS = st.sampled_from(HOSTILE) | st.dictionaries(NAMES, st.sampled_from([*HOSTILE, "ok", {"name": "ok"}]))


@given(st.dictionaries(SOURCES, st.sampled_from(HOSTILE) | st.lists(ITEMS)))
@QUICK
def test_only_short_lines_of_text_become_metadata(metadata: dict[str, Any]) -> None:
    for field, value in annex_fields(metadata, "sub-1/x_ses-2.nwb"):
        assert field in {"subject", "species", "sex", "age", "approach", "technique", "variable", "session"}
        assert value.isprintable() and 0 < len(value) <= 200
