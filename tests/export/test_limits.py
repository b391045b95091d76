"""What must not get into a file for everybody, and what an export must not overwrite."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

import dandi_mirror as dm
from dandi_mirror.archive.instances import token_variable
from dandi_mirror.embedded import Archive
from dandi_mirror.export.bag import tag_files
from dandi_mirror.export.metalink import metalink
from dandi_mirror.export.version import ExportFile, ExportVersion, contributors, shareable
from dandi_mirror.mirror.history.citation import Citation
from dandi_mirror.model import parse_time
from tests.conftest import MirrorOfTest, run
from tests.support.credentials import TOKEN
from tests.support.dandisets import seed_owned
from tests.support.exporting import CONTENT, META, PERSON, V1, below, export


@pytest.mark.parametrize("form", ["ro-crate", "croissant", "metalink", "bagit"])
def test_an_embargoed_version_is_exported_with_the_urls_of_the_api_alone(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path, form: str
) -> None:
    seed_owned(archive).set_embargo("EMBARGOED")
    token = {token_variable(mirror.server.api_url): TOKEN}
    mirror.cli("sync", "000123", "--embargoed", env=token)
    mirror.cli("export", "000123", "--as", form, "-o", str(tmp_path / "x"), env=token)
    files = below(tmp_path / "x") if form == "bagit" else {"x": (tmp_path / "x").read_bytes()}
    text = b"".join(content for name, content in files.items() if name != "data/dandiset.yaml").decode()
    assert text.count("/download/") >= 3
    for secret in (TOKEN, "Signature", "X-Amz", "/blobs/", "/girder-assetstore/"):
        assert secret not in text


def test_urls_with_secrets_are_not_shared() -> None:
    good = [
        "https://s3.amazonaws.com/b/blobs/abc?versionId=x",
        "https://api.org/api/zarr/1/files/?download=true&prefix=a",
    ]
    bad = [
        "https://user:secret@host.org/x", "https://s3.org/x?X-Amz-Signature=1", "https://s3.org/x?token=1",
        "file:///etc/passwd", "javascript:alert(1)", "https:///x", "https://host:0/x", "https://[x", "https://a/b#c",
        "https://a/\udcff",
    ]  # fmt: skip
    assert list(shareable([*good, *bad])) == good
    assert list(shareable(["https://host.org/a b\n<c>"])) == ["https://host.org/a%20b%0A%3Cc%3E"]


def test_a_clone_puts_no_address_of_this_network_into_an_export(published: MirrorOfTest, tmp_path: Path) -> None:
    key = published.keys(V1)["again.nwb"]
    published.git("annex", "registerurl", key, "http://169.254.169.254/latest")
    published.git("annex", "registerurl", key, "https://user:secret@example.org/x")
    export(published, "metalink", tmp_path / "x.meta4")
    text = (tmp_path / "x.meta4").read_text()
    assert "169.254" not in text and "secret" not in text and "/blobs/" in text


@pytest.mark.quick
def test_letters_that_xml_does_not_allow_are_left_out() -> None:
    what = Citation(
        "DANDI:000123/draft", "draft", "a\x00b\x0b\ufffe<c>", (), "", "", parse_time("2024-01-01T00:00:00Z"), "", ""
    )
    version = ExportVersion("000123", "draft", {}, b"", what, False, (ExportFile("\"&<>'.nwb", 1),))
    root = ElementTree.fromstring(b"".join(metalink(version, "x")))
    (file,) = root.iter(f"{META}file")
    assert (file.get("name"), file.findtext(f"{META}identity")) == ("\"&<>'.nwb", "ab<c>")


@pytest.mark.quick
def test_names_in_a_bag_are_written_as_its_standard_says() -> None:
    what = Citation("DANDI:000123/draft", "draft", "a\nb", (), "", "", parse_time("2024-01-01T00:00:00Z"), "", "")
    version = ExportVersion("000123", "draft", {}, b"{}", what, False, (ExportFile("a%0Ab c.nwb", 1, "00", page="u"),))
    made = dict(tag_files(version, "x", holey=True))
    assert made["fetch.txt"] == b"u 1 data/a%250Ab c.nwb\n"
    assert made["manifest-sha256.txt"].endswith(b"\n00  data/a%250Ab c.nwb\n")
    assert (
        b"External-Description: DANDI:000123/draft\n" in made["bag-info.txt"] or b"\na b\n" not in made["bag-info.txt"]
    )


@pytest.mark.quick
def test_a_record_of_any_kind_gives_contributors() -> None:
    for odd in (None, "x", [None, 3, {"includeInCitation": True}, PERSON | {"affiliation": "x", "identifier": "x"}]):
        found = list(contributors({"contributor": odd}))
        assert [one.identifier for one in found] in ([], [""])


def test_a_file_that_exists_stays_unless_it_may_be_replaced(published: MirrorOfTest, tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_text("mine")
    said = export(published, "metalink", file, code=2)
    assert "is there already" in said and "--overwrite" in said and file.read_text() == "mine"
    export(published, "metalink", file, "--overwrite")
    assert file.read_text().startswith("<?xml")
    export(published, "metalink", tmp_path / "absent" / "x")
    (tmp_path / "closed").mkdir()
    export(published, "metalink", tmp_path / "closed", "--overwrite", code=2)


def test_it_has_a_name_of_its_own_or_goes_to_the_standard_output(published: MirrorOfTest, tmp_path: Path) -> None:
    where = ["-d", str(published.path)]
    run("dandi-mirror", "export", "000123", "--as", "croissant", *where, cwd=tmp_path)
    shown = run("dandi-mirror", "export", "000123", "--as", "croissant", "-o", "-", *where, cwd=tmp_path).stdout
    assert (tmp_path / f"000123-{V1}-croissant.json").read_text() == shown
    for wrong in (
        ["--as", "bagit", "-o", "-"],
        ["--as", "metalink", "--payload"],
        ["--as", "metalink", "-o", "-", "-f", "json"],
    ):
        run("dandi-mirror", "export", "000123", *wrong, *where, cwd=tmp_path, code=2)


def test_what_is_no_whole_version_here_is_refused(published: MirrorOfTest, tmp_path: Path) -> None:
    for what, words in {
        "000123/sub-0": "an export is of a whole version",
        "000123@0.990101.0000": "is not in",
        "000999": "mirror it: dandi-mirror sync 000999",
    }.items():
        assert words in export(published, "metalink", tmp_path / "x", what=what, code=2)
    assert not (tmp_path / "x").exists() and published.server.requests == []


def test_a_clone_exports_the_same_as_its_mirror(published: MirrorOfTest, tmp_path: Path) -> None:
    run("datalad", "clone", str(published.path / "000123"), "work", cwd=tmp_path)
    for form in ("ro-crate", "croissant", "metalink"):
        export(published, form, tmp_path / form)
        run(
            "dandi-mirror",
            "export",
            f"000123@{V1}",
            "--as",
            form,
            "-o",
            "../own",
            "--overwrite",
            cwd=tmp_path / "work",
        )
        assert (tmp_path / "own").read_bytes() == (tmp_path / form).read_bytes()


def test_the_record_of_a_run_says_what_was_left_out(published: MirrorOfTest, tmp_path: Path, archive: Archive) -> None:
    archive.dandisets["000123"].add_asset(".git/config", archive.add_blob(b"x"))
    published.sync()
    said = export(published, "metalink", tmp_path / "x", "-f", "json", what="000123@draft", code=3)
    record, summary = map(json.loads, said.splitlines())
    assert [one["path"] for one in record["left_out"]] == [".git/config"] and record["files"] == 5
    assert summary["exit_code"] == 3


def test_python_exports_as_the_command_does(
    published: MirrorOfTest, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    dandiset = dm.Mirror(published.path)["000123"]
    for form in ("ro-crate", "croissant", "metalink"):
        done = dandiset.export(form, tmp_path / f"{form}-python")
        assert (done.path, done.files, done.left_out) == (tmp_path / f"{form}-python", 5, ())
        export(published, form, tmp_path / form)
        assert (tmp_path / form).read_bytes() == (tmp_path / f"{form}-python").read_bytes()
    done = dandiset.export("bagit", tmp_path / "bag", payload=True)
    assert below(tmp_path / "bag" / "data").keys() == {*CONTENT, "dandiset.yaml"}
    with pytest.raises(dm.MirrorError, match="is there already"):
        dandiset.export("bagit", tmp_path / "bag")
    with pytest.raises(dm.MirrorError, match="no such format; there are ro-crate, croissant"):
        dandiset.export("word", tmp_path / "y")
    with pytest.raises(dm.MirrorError, match="payload is for bagit only"):
        dandiset.export("metalink", tmp_path / "y", payload=True)
    assert capfd.readouterr() == ("", "")
