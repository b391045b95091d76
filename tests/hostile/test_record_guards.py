"""Guards that one line holds: each test fails as soon as that line is taken out, and none starts a program."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dandi_mirror.addresses import without_secrets
from dandi_mirror.archive.instances import api_url
from dandi_mirror.archive.names import parse
from dandi_mirror.errors import UsageError
from dandi_mirror.files.not_ours import NotOurs
from dandi_mirror.files.opening import read_file
from dandi_mirror.files.own import own_path_in_own_folder
from dandi_mirror.files.target import InTheWay, TargetFolder
from dandi_mirror.mirror.contents.files import file_of_finding
from dandi_mirror.mirror.format.admission import ContentHosts, Refusal, admit_entry
from dandi_mirror.model import Finding, FindingKind, Instance
from dandi_mirror.paths import refuse_path
from dandi_mirror.repo.annex.keys import annex_key, is_key
from dandi_mirror.text import plain, printable
from dandi_mirror.upload.organize import placing
from dandi_mirror.upload.read.worker_process import FileError
from tests.support.clones import ID, record
from tests.support.remote import KEY, talk

pytestmark = pytest.mark.quick

API = "https://api.example.org/api"


@pytest.mark.parametrize("path", ["\uff0edandi/x", "dandiset.\uff59aml", ".d\uff41talad/config", "\uff0eDANDI "])
def test_a_name_that_unicode_folds_into_one_of_ours_is_refused(path: str) -> None:
    assert str(refuse_path(path)).endswith("is the mirror's own")


@pytest.mark.parametrize("path", ["\uff0egit/config", "a/.g\uff49t", "\uff47it~1/x"])
def test_a_name_that_unicode_folds_into_one_of_gits_is_refused(path: str) -> None:
    assert str(refuse_path(path)).endswith("is git's own")


def test_an_admitted_asset_has_no_handle_until_its_record_is_stored() -> None:
    admitted = admit_entry(record(), ContentHosts(Instance("DANDI", API)))
    assert not isinstance(admitted, Refusal)
    assert admitted[0].record is None
    assert admitted[0].record_length == len(admitted[1])


@pytest.mark.parametrize("asset_id", ["", "../users/me", ID.upper(), ID.replace("-", ""), ID + "/", 5, None, [ID]])
def test_an_id_that_is_none_is_not_believed_of_a_list_entry_or_a_finding(asset_id: object) -> None:
    refused = admit_entry(record(asset_id=asset_id), ContentHosts(Instance("DANDI", API)))
    assert isinstance(refused, Refusal)
    assert (refused.asset_id, refused.reason) == ("", "the asset id is not a UUID of version 4")
    assert file_of_finding(Finding("draft", "a", FindingKind.PENDING, "", asset_id)).asset_id == ""  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url",
    [
        f"https://elsewhere.example/api/assets/{ID}/download/",
        f"{API}/assets/../users/me/?/download/",
        f"{API}/assets/{ID}/download/?redirect=https://elsewhere.example",
        f"{API}/assets/{ID}/",
        f"{API}/users/me/",
        f"{API}/assets/{ID[:-1]}/download/",
    ],
)
def test_the_special_remote_takes_only_the_content_of_an_asset_of_its_own_api(url: str) -> None:
    good = f"{API}/assets/{ID}/download/"
    assert talk(f"WHEREIS {KEY}", f"VALUE {API}", f"VALUE {url}", "VALUE ")[-1] == "WHEREIS-FAILURE"
    assert talk(f"WHEREIS {KEY}", f"VALUE {API}", f"VALUE {good}", "VALUE ")[-1] == f"WHEREIS-SUCCESS {good}"


def test_no_message_says_what_stands_before_a_host() -> None:
    assert without_secrets("https://me:secret@host.example:8/a?token=secret#secret") == "https://host.example:8/a"
    for text in ("https://me:secret@dandiarchive.org/dandiset/000004", "https://secret@dandiarchive.org/"):
        for read in (parse, api_url):
            with pytest.raises(UsageError) as raised:
                read(text)
            assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "key", ["..", ".", "", "a/b", "SHA256E-s1--", "SHA256E-s1--a\n", "SHA256E-s1--\udcff", "x" * 256]
)
def test_what_can_be_no_key_is_none(key: str) -> None:
    assert not is_key(key)
    for good in (annex_key(1, "0" * 64, "a.nwb"), "URL--http&c%%x.org%a", "MD5E-s3-S1-C2--ü.nwb", "GIT--abc"):
        assert is_key(good)


@pytest.mark.parametrize("letter", ["\x00", "\x1b", "\x7f", "\x9b", "\xad", "\u061c", "\u115f", "\u200b", "\u200e",
                                    "\u2028", "\u202e", "\u2066", "\u3164", "\ufe0f", "\ufeff", "\U000e0001",
                                    "\U000e0100", "\ud800", "\n", "\r", "\t"])  # fmt: skip
def test_a_letter_that_is_not_seen_or_moves_others_is_escaped(letter: str) -> None:
    said = printable(f"a{letter}b")
    assert said.isascii()
    assert said.startswith("a\\")
    assert printable("Mäuse 日本 e\u0301") == "Mäuse 日本 e\u0301"


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "", ".", "a//b", "a/./b", "a\0"])
def test_a_path_that_leads_out_of_an_open_folder_is_refused(path: str, tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    with TargetFolder(top) as below:
        with pytest.raises(InTheWay):
            below.write(path, b"")
        (top / "mine").write_bytes(b"")
        with pytest.raises(InTheWay):
            below.move("mine", path)
    assert [found.name for found in top.iterdir()] == ["mine"]
    assert not (tmp_path / "x").exists()


def test_a_link_below_an_open_folder_is_not_followed(tmp_path: Path) -> None:
    top, other = tmp_path / "top", tmp_path / "other"
    for folder in (top, other):
        folder.mkdir()
    (other / "x").write_text("mine")
    (top / "link").symlink_to(other)
    (top / "file").symlink_to(other / "x")
    with TargetFolder(top) as below:
        with pytest.raises(InTheWay):
            below.write("link/x", b"")
        with pytest.raises(InTheWay):
            below.remove("link/x")
        with pytest.raises(InTheWay):
            below.move("file", "link/y")
        with pytest.raises(InTheWay), below.folder("link"):
            pass
        below.write("file", b"new")  # the link itself gives way
    with pytest.raises(NotOurs, match="is a link"):
        own_path_in_own_folder(top / "link" / "x").open(os.O_RDWR | os.O_CREAT)
    assert ([found.name for found in other.iterdir()], (other / "x").read_text(), (top / "file").is_symlink()) == (
        ["x"], "mine", False,
    )  # fmt: skip


def test_what_is_no_file_is_neither_opened_nor_read(tmp_path: Path) -> None:
    pipe, link, large = tmp_path / "pipe", tmp_path / "link", tmp_path / "large"
    os.mkfifo(pipe)
    link.symlink_to("/dev/zero")
    large.write_bytes(b"x" * 11)
    for path in (pipe, link, tmp_path, tmp_path / "nothing", Path("/dev/zero")):
        assert read_file(path) is None
    assert (read_file(large, 10), read_file(large, 11)) == (None, b"x" * 11)
    for path in (pipe, link):
        with pytest.raises(NotOurs, match=r"is a (link|special file)"):
            own_path_in_own_folder(path).open(os.O_RDWR)


@pytest.mark.parametrize("target", ["../x", "link/x", "/x", "a/../../x"])
def test_organize_puts_no_file_outside_its_dandiset(target: str, tmp_path: Path) -> None:
    top, other, made = tmp_path / "top", tmp_path / "other", tmp_path / "made"
    for folder in (top, other):
        folder.mkdir()
    (top / "link").symlink_to(other)
    made.write_text("data")
    for act in (placing.put, placing.put_link, placing.put_folder):
        with pytest.raises(FileError):
            act(made, top, target)
    assert (made.read_text(), list(other.iterdir()), (tmp_path / "x").exists()) == ("data", [], False)
    assert placing.put_link(made, top, "a/b/link")
    assert not placing.put(made, top, "a/b/link"), "never over another one"
    assert placing.put(made, top, "a/b/c")
    assert (top / "a/b/c").read_text() == "data"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see https://me:secret@h.example/x?secret", "see https://h.example/x?…"),
        ("'https://secret@h.example/x' failed", "'https://h.example/x' failed"),
        ("/blobs/x?X-Amz-Date=1&X-Amz-Signature=secret failed", "/blobs/x?… failed"),
        ("write http://NAME:PASSWORD@HOST:PORT", "write http://NAME:PASSWORD@HOST:PORT"),
        ("did you mean a? or b?x=1.nwb", "did you mean a? or b?x=1.nwb"),
        ("me@example.org has https://h.example/a@b", "me@example.org has https://h.example/a@b"),
    ],
)
def test_no_message_and_no_log_has_what_a_url_may_hold_in_secret(text: str, shown: str) -> None:
    assert plain(text) == shown
