"""A clone from somebody who means harm: it is read as an archive's answers are, and nothing is written elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from dandi_mirror.archive.names import parse
from dandi_mirror.cli.change_output import day_of
from dandi_mirror.embedded import Server
from dandi_mirror.mirror.contents.local import local_contents
from dandi_mirror.mirror.format.record_reader import Record, admit
from dandi_mirror.mirror.locate.versions import states
from dandi_mirror.repo.git.dataset import Dataset
from tests.conftest import run
from tests.support.clones import CONTENT, ID, LINK, TAG, Hostile, Line, annexed, dandiset, record, text
from tests.support.looking import files_below

DIGEST = sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def elsewhere(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive that has nothing of what the clones name."""
    monkeypatch.setenv("DANDI_INSTANCE", server.api_url)


def cli(clone: Path, *arguments: str, code: int | None) -> subprocess.CompletedProcess[str]:
    done = run("dandi-mirror", *arguments, cwd=clone, code=None)
    said = f"ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    assert code is None or done.returncode == code, said
    assert "Traceback" not in said and "unexpected" not in said, said
    return done


def with_digest(digest: Any) -> dict[str, Any]:
    return record(metadata={"contentSize": len(CONTENT), "digest": {"dandi:sha2-256": digest}})


def nested(levels: int) -> bytes:
    line = json.dumps(record(metadata={"deep": 0})).encode()
    return line.replace(b'"deep": 0', b'"deep": ' + b"[" * levels + b"]" * levels)


BAD: dict[str, Line] = {
    "a path upwards": record("../../../home/.bash_profile"),
    "an absolute path": record("/etc/passwd.txt"),
    "a path to git's own folder": record(".git/hooks/post-checkout"),
    "a path that is a number": record(7),
    "no path": {key: value for key, value in record().items() if key != "path"},
    "a digest that is a path": with_digest("../../../home/.bashrc"),
    "a digest that is a list": with_digest(["a"]),
    "no digest": record(metadata={}),
    "digests that are text": record(metadata={"digest": "abc"}),
    "a size below zero": record(size=-1),
    "a size that is text": record(size="1"),
    "a size that is true": record(size=True),
    "an asset id that is a path": record(asset_id="../../users/me"),
    "an asset id that is a number": record(asset_id=5),
    "metadata that is a list": record(metadata=[]),
    "no metadata": {key: value for key, value in record().items() if key != "metadata"},
    "a list": b"[1]",
    "a number": b"1",
    "null": b"null",
    "no JSON": b"{",
    "no text": b"\xff\xfe",
    "an empty line": b"",
    "too deep for JSON": nested(2000),
    "too deep for us": nested(900),
}


@pytest.mark.parametrize("name", BAD)
def test_a_record_that_no_sync_wrote_is_refused_with_its_reason_and_never_an_exception(name: str) -> None:
    line = BAD[name]
    found = admit(line if isinstance(line, bytes) else json.dumps(line).encode())
    assert not isinstance(found, Record)
    assert found.reason
    assert found.asset_id in {"", ID}
    assert isinstance(admit(json.dumps(record()).encode()), Record)


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A clone with all of these, beside a good one; every file's content is in git."""
    files = {"sub-1/good.txt": text()}
    return Hostile([record("sub-1/good.txt"), *BAD.values()], files).make(tmp_path / "work" / "clone")


def test_ls_names_every_bad_record_and_download_brings_the_good_one_and_both_say_3(bad: Path, tmp_path: Path) -> None:
    home = files_below(tmp_path, without=(tmp_path / "out", bad))
    listed = cli(bad, "ls", ".", "-r", "-f", "json", code=3)
    assert f"has {len(BAD)} records that no sync made, marked as refused" in listed.stderr
    entries = [json.loads(line) for line in listed.stdout.splitlines()][:-1]
    assert {(entry["state"], entry["status"]) for entry in entries} == {("", "ok"), ("refused", "impossible")}
    states = [entry["state"] for entry in entries]
    assert (states.count(""), states.count("refused")) == (1, len(BAD))
    assert all(entry["reason"] for entry in entries if entry["state"])
    done = cli(bad, "download", ".", "-o", str(tmp_path / "out"), "-e", "overwrite", "-f", "json", code=3)
    records = [json.loads(line) for line in done.stdout.splitlines()][:-1]
    assert sum(found["status"] == "impossible" for found in records) == len(BAD)
    assert set(files_below(tmp_path / "out")) == {
        "000123", "000123/sub-1", "000123/sub-1/good.txt", "000123/dandiset.yaml",
    }  # fmt: skip
    assert files_below(tmp_path, without=(tmp_path / "out", bad)) == home


@pytest.mark.parametrize("arguments", [["log", "000123"], ["diff", f"000123@{TAG}"]])
def test_log_and_diff_count_the_bad_records_and_say_3(bad: Path, arguments: list[str]) -> None:
    done = cli(bad, *arguments, "-d", ".", code=3)
    assert f"{len(BAD)} records that no sync made, left out here; to see why: dandi-mirror ls -r 000123@" in done.stderr
    hint = done.stderr.splitlines()[-1].rpartition("dandi-mirror ")[2].split()
    assert cli(bad, *hint, code=3).stdout.count("[refused]") == len(BAD), "the hint works as it is printed"


def test_a_path_upwards_and_an_absolute_one_write_nothing_by_any_name(tmp_path: Path) -> None:
    victim = tmp_path / "home" / ".bash_profile"
    victim.write_text("mine")
    out = tmp_path / "a" / "b" / "out"
    absolute = str(tmp_path / "home" / "x.txt")
    lines = [record("../../../home/.bash_profile"), record("../../../../home/.bash_profile"), record(absolute)]
    clone = Hostile([*lines, record("sub-1/a.txt")], {"sub-1/a.txt": text()}).make(tmp_path / "clone")
    for name in (".", "000123/*", "000123/**", f"000123/{absolute}"):
        for existing in ("overwrite", "refresh"):
            cli(clone, "download", name, "-d", ".", "-o", str(out), "-e", existing, code=None)
    assert victim.read_text() == "mine"
    assert not (tmp_path / "home" / "x.txt").exists()


def test_a_digest_that_is_a_path_truncates_no_file(tmp_path: Path) -> None:
    victim = tmp_path / "home" / ".bashrc"
    victim.write_text("mine")
    lines = [with_digest(f"{'../' * depth}home/.bashrc") for depth in range(1, 6)]
    clone = Hostile(lines).make(tmp_path / "clone")
    cli(clone, "download", ".", "-o", str(tmp_path / "a" / "out"), "-e", "overwrite", code=3)
    assert victim.read_text() == "mine"


@pytest.mark.parametrize("link", ["000123", "000123/sub-1", ".dandi-mirror-download"])
def test_a_link_in_the_target_folder_is_not_written_through(link: str, tmp_path: Path) -> None:
    clone = Hostile([record("sub-1/a.txt")], {"sub-1/a.txt": text()}).make(tmp_path / "clone")
    out, victim = tmp_path / "out", tmp_path / "victim"
    (out / link).parent.mkdir(parents=True)
    victim.mkdir()
    (victim / DIGEST).write_text("mine")
    (out / link).symlink_to(victim)
    done = cli(clone, "download", ".", "-o", str(out), "-e", "overwrite", code=None)
    assert done.returncode in {3, 6}
    assert "a link or a file stands where this folder should be" in done.stderr
    assert files_below(victim) == {DIGEST: b"mine".hex()}


def test_a_link_in_place_of_what_was_under_way_is_not_written_through(tmp_path: Path) -> None:
    clone = Hostile([record("sub-1/a.nwb")], {"sub-1/a.nwb": annexed("sub-1/a.nwb")}).make(tmp_path / "clone")
    victim = tmp_path / "victim"
    victim.write_text("mine")
    waiting = tmp_path / "out" / ".dandi-mirror-download"
    waiting.mkdir(parents=True)
    (waiting / DIGEST).symlink_to(victim)
    done = cli(clone, "download", ".", "-o", str(tmp_path / "out"), code=6)
    assert "is a link, and dandi-mirror follows no links to its own files" in done.stderr
    assert victim.read_text() == "mine"


def test_what_was_refused_and_kept_is_admitted_too(tmp_path: Path) -> None:
    facts: dict[str, Any] = {
        "asset_id": "../../../x", "path": ["a"], "reason": {"a": 1}, "record": {"size": "big", "metadata": []}
    }  # fmt: skip
    files = {f".dandi/refused/{ID}.json": text(json.dumps(facts).encode()), ".dandi/refused/x.json": text(b"[")}
    clone = Hostile([record()], {**files, "sub-1/a.txt": text()}).make(tmp_path / "clone")
    found = local_contents(parse("000123@draft"), clone, clone)
    assert found
    refused = [file for file in found.files if file.state]
    assert [(file.asset_id, file.size) for file in refused] == [("", None), ("", None)]
    assert all(isinstance(file.reason, str) and file.reason for file in refused)
    cli(clone, "ls", ".", "--links", "-r", code=0)


@pytest.mark.parametrize(
    "content",
    [b"[" * 100_000, b"[]", b"\xff", json.dumps(dandiset(contributor=7, license={})).encode(), b"", nested(900)],
)
def test_a_dandisets_record_may_be_anything(content: bytes, tmp_path: Path) -> None:
    clone = Hostile([record()], {"dandiset.yaml": text(content), "sub-1/a.txt": text()}).make(tmp_path / "clone")
    cli(clone, "log", "000123", "-d", ".", code=None)
    cli(clone, "diff", f"000123@{TAG}", "-d", ".", code=None)
    cli(clone, "ls", "000123", "-d", ".", code=None)


def test_a_file_of_records_that_is_huge_or_missing_is_named_and_not_read(tmp_path: Path) -> None:
    huge = b"x" * (9 << 20)
    many = b"{}\n" * (1 << 18)
    for content, words in ((huge, "larger than a sync makes it"), (many, "larger than a sync makes it")):
        clone = Hostile([], {".dandi/assets.jsonl": text(content)}).make(tmp_path / f"clone-{len(content)}")
        found = local_contents(parse("000123@draft"), clone, clone)
        assert found
        assert [file.reason for file in found.files] == [f"a file of records is {words}"]
    git = ("git", "-C", str(clone))
    oid = run(*git, "rev-parse", "draft:.dandi/assets.jsonl").stdout.strip()
    (clone / ".git" / "objects" / oid[:2] / oid[2:]).unlink()
    found = local_contents(parse("000123@draft"), clone, clone)
    assert found
    assert [file.reason for file in found.files] == ["a file of records is missing"]


@pytest.mark.parametrize("name", [b"SHA256E-s9--\xff.nwb", b"..", b".", b"nothing", b"SHA256E-s9--" + b"a" * 300])
def test_one_link_with_a_key_that_is_none_is_named_and_the_others_come(name: bytes, tmp_path: Path) -> None:
    path = "sub-1/a.nwb"
    mode, target = annexed(path)
    bad = b"../.git/annex/objects/aa/bb/" + name + b"/" + name
    clone = Hostile([record(path)], {path: (mode, target), "sub-1/bad.nwb": (LINK, bad)}).make(tmp_path / "clone")
    run("git", "-C", str(clone), "annex", "init", "--quiet")
    done = cli(clone, "get", ".", code=3)
    assert "sub-1/bad.nwb: its link does not name a key of git-annex" in done.stderr
    assert "sub-1/a.nwb: " in done.stderr


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_dandisets_record_that_is_no_file_is_not_waited_for(kind: str, tmp_path: Path) -> None:
    clone = Hostile([record()], {"dandiset.yaml": (LINK, b"/dev/zero" if kind == "device" else b"pipe")}).make(
        tmp_path / "clone"
    )
    os.mkfifo(clone / "pipe")
    done = subprocess.run(
        ["dandi-mirror", "ls", "."], cwd=clone, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_tags_and_dates_that_no_sync_writes_are_no_exception(tmp_path: Path) -> None:
    clone = Hostile([record()], {"sub-1/a.txt": text()}).make(tmp_path / "clone")
    git = ("git", "-C", str(clone))
    commit = run(*git, "rev-parse", "draft").stdout.strip()
    for name, end in (("0.240202.0000", ""), ("0.240303.0000", "tagger x <x> 99999999999999 +0000\n")):
        raw = f"object {commit}\ntype commit\ntag {name}\n{end}\nx\n"
        oid = run(*git, "hash-object", "-t", "tag", "--literally", "-w", "--stdin", stdin=raw).stdout.strip()
        run(*git, "update-ref", f"refs/tags/{name}", oid)
    run(*git, "tag", "-a", "-m", "x", "a\u2028b")
    found = states(Dataset(clone))
    assert {state.name for state in found} == {"draft", TAG, "0.240202.0000", "0.240303.0000"}
    assert all(day_of(state.seconds) for state in found)
    assert local_contents(parse("000123"), clone, clone)


HIDDEN = "a\u202eb\u200b\x1b[31m\u115f\ufe0f"


def test_nothing_that_a_clone_says_reaches_the_terminal_raw(tmp_path: Path) -> None:
    lines = [record("sub-1/a.txt"), record(f"sub-1/{HIDDEN}.txt")]
    about = dandiset(name=HIDDEN, contributor=[{"name": HIDDEN, "includeInCitation": True}], version=HIDDEN, url=HIDDEN)
    mirror = tmp_path / "mirror"
    Hostile(lines, {"sub-1/a.txt": text()}, about).make(mirror / "000123")
    for arguments in (
        ["cite", f"000123@{TAG}"],
        ["cite", f"000123@{TAG}", "-f", "bibtex"],
        ["cite", f"000123@{TAG}", "-f", "ris"],
        ["log", "000123"],
        ["diff", f"000123@{TAG}"],
        ["ls", "-r", "000123"],
        ["search", "a"],
        ["status", "--offline", "000123"],
        ["runs"],
    ):
        done = cli(mirror, *arguments, "-d", ".", code=None)
        said = done.stdout + done.stderr
        assert not set(said) & set("\u202e\u200b\x1b\u115f\ufe0f"), (arguments, said)
        assert said.isprintable() or "\n" in said
