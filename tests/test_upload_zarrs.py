"""Zarr folders are uploaded whole: what is sent, what is not, and what the archive has afterwards."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from dandi_mirror.embedded import Archive, Dandiset, Request
from dandi_mirror.errors import UnsafePlan
from tests.conftest import run
from tests.support.uploading import FIRST, SECOND, THIRD, Person, me, mine, paths, token
from tests.support.zarr_folders import held, sent_entries, set_attribute, write_ome
from tests.support.zarrs import checksum, files_of

__all__ = ["me", "mine", "token"]

THERE = [FIRST, SECOND, THIRD]
IMAGE = "sub-m1/sub-m1_image.ome.zarr"


def zarr_requests(me: Person) -> list[Request]:
    return [request for request in me.server.requests if "/api/zarr" in request.path]


@pytest.mark.parametrize("form", [2, 3])
def test_a_zarr_goes_up_as_one_asset_with_the_checksum_of_the_stock_package(
    me: Person, mine: Dandiset, form: int
) -> None:
    folder = write_ome(me.folder / IMAGE, form)
    done = me.upload(include=())
    assert done.failures == {}
    assert paths(mine) == sorted([*THERE, IMAGE]), "one asset, no loose chunk"
    assert held(mine, IMAGE) == files_of(folder)
    asset = mine.draft.asset_at(IMAGE)
    assert asset and asset.zarr and asset.zarr.checksum == checksum(files_of(folder))
    assert asset.metadata["encodingFormat"] == "application/x-zarr"
    assert asset.metadata["digest"] == {"dandi:dandi-zarr-checksum": asset.zarr.checksum}
    assert sorted(sent_entries(me)) == sorted(files_of(folder)), "each chunk once"
    assert done.sent == sum(map(len, files_of(folder).values()))


def test_an_unchanged_zarr_is_neither_listed_nor_sent(me: Person, mine: Dandiset) -> None:
    write_ome(me.folder / IMAGE)
    me.upload()
    me.server.requests.clear()
    again = me.upload()
    assert (again.planned.plan.changes, me.writes()) == ([], [])
    assert {request.path for request in zarr_requests(me)} == {"/api/zarr/"}, "its checksum is all that is asked for"


@pytest.mark.parametrize("form", [2, 3])
def test_only_changed_chunks_are_sent_and_those_that_are_gone_are_deleted(
    me: Person, mine: Dandiset, form: int
) -> None:
    folder = write_ome(me.folder / IMAGE, form)
    me.upload()
    before = mine.draft.asset_at(IMAGE)
    chunk = "0/1/1" if form == 2 else "0/c/1/1"
    file = next(folder / name for name in files_of(folder) if name in (chunk, "0/1.1"))
    changed = file.relative_to(folder).as_posix()
    file.write_bytes(b"another chunk")
    gone = next(name for name in files_of(folder) if name.startswith("1/") and "zarr" not in name.rpartition("/")[2])
    (folder / gone).unlink()
    (folder / "0" / "more").write_bytes(b"more")
    me.server.requests.clear()
    done = me.upload()
    assert done.failures == {}
    assert sorted(sent_entries(me)) == sorted([changed, "0/more"])
    deleted = [request for request in me.writes() if request.method == "DELETE"]
    assert len(deleted) == 1, "one request for what is gone"
    assert held(mine, IMAGE) == files_of(folder)
    after = mine.draft.asset_at(IMAGE)
    assert before and after and after.zarr is before.zarr, "the Zarr of the asset was changed in place"
    assert after.zarr and after.zarr.checksum == checksum(files_of(folder))
    assert paths(mine) == sorted([*THERE, IMAGE])


def test_a_dry_run_says_how_many_chunks_have_changed_and_changes_nothing(
    me: Person, mine: Dandiset, token: dict[str, str]
) -> None:
    folder = write_ome(me.folder / IMAGE)
    count = len(files_of(folder))

    def dry(code: int = 0) -> str:
        done = run("dandi-mirror", "upload", "-n", "-i", me.server.api_url, cwd=me.folder, env=token, code=code)
        return done.stdout + done.stderr

    said = dry()
    assert f"{IMAGE}  ({count} chunks)" in said
    assert me.writes() == []
    me.upload()
    me.server.requests.clear()
    set_attribute(folder, 2, "more", 1)
    (folder / "0" / "0.0").write_bytes(b"x")
    assert f"{IMAGE}  (2 of {count} chunks changed)" in dry()
    assert me.writes() == []


def test_a_file_becomes_a_folder_within_a_zarr_and_the_reverse(me: Person, mine: Dandiset) -> None:
    folder = me.folder / IMAGE
    for path in (".zgroup", "0/.zarray", "0/0", "0/1/0", "0/1/1"):
        me.write(f"{IMAGE}/{path}", b'{"zarr_format": 2}')
    me.upload()
    (folder / "0" / "0").unlink()
    me.write(f"{IMAGE}/0/0/0", b"now in a folder")
    shutil.rmtree(folder / "0" / "1")
    me.write(f"{IMAGE}/0/1", b"now a file")
    done = me.upload(allow_deletes=True)
    assert done.failures == {}
    assert held(mine, IMAGE) == files_of(folder)


def test_files_that_the_stock_client_leaves_out_of_a_zarr_are_left_out_and_hidden_ones_are_sent(
    me: Person, mine: Dandiset
) -> None:
    folder = write_ome(me.folder / IMAGE)
    for path, content in {".DS_Store": b"a leftover", "0/.hidden": b"hidden", "0/none": b""}.items():
        me.write(f"{IMAGE}/{path}", content)
    for path in (".dandi/zarr-checksum", ".gitattributes", "0/.gitmodules", ".datalad/config"):
        me.write(f"{IMAGE}/{path}", b"of a repository")
    (folder / "empty").mkdir()
    me.upload()
    assert held(mine, IMAGE).keys() == {
        name for name in files_of(folder)
        if not {".dandi", ".gitattributes", ".gitmodules", ".datalad"} & set(name.split("/"))
    }  # fmt: skip
    assert {".DS_Store", "0/.hidden", "0/none", ".zattrs"} < held(mine, IMAGE).keys()


def test_a_zarr_with_a_link_or_a_strange_name_in_it_is_refused_by_name_and_nothing_of_it_is_sent(
    me: Person, mine: Dandiset, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    folders = {name: write_ome(me.folder / f"sub-z/{name}.ome.zarr") for name in ("link", "folder", "name", "good")}
    (folders["link"] / "0" / "9.9").symlink_to(tmp_path / "secret")
    (folders["folder"] / "9").symlink_to(tmp_path)
    (folders["name"] / "0" / "a\nb").write_bytes(b"x")
    done = me.upload()
    assert done.failures.keys() == {f"sub-z/{name}.ome.zarr" for name in ("link", "folder", "name")}
    assert "0/9.9 in it is a link" in done.failures["sub-z/link.ome.zarr"]
    assert "9 in it is a link" in done.failures["sub-z/folder.ome.zarr"]
    assert "a\\nb in it cannot be mirrored" in done.failures["sub-z/name.ome.zarr"]
    assert paths(mine) == sorted([*THERE, "sub-z/good.ome.zarr"])
    assert set(sent_entries(me)) == set(files_of(me.folder / "sub-z" / "good.ome.zarr"))


def test_a_folder_that_is_a_zarr_but_is_not_called_so_is_refused_whole(me: Person, mine: Dandiset) -> None:
    write_ome(me.folder / "sub-z" / "image")
    done = me.upload(paths=("sub-z/image/0/0.0",))
    assert "rename the folder so that its name ends in .zarr" in done.failures["sub-z/image"]
    assert (paths(mine), me.writes()) == (THERE, [])


def test_a_new_zarr_never_takes_the_zarr_that_another_asset_has(me: Person, mine: Dandiset) -> None:
    folder = write_ome(me.folder / IMAGE)
    me.upload()
    asset = mine.draft.asset_at(IMAGE)
    assert asset
    mine.draft.take_out(asset, mine.archive.now())
    asset.path = "sub-m1/kept.ome.zarr"
    mine.enter(asset)
    kept = files_of(folder)
    shutil.rmtree(folder)
    write_ome(folder, fill=1)
    done = me.upload(update=True)
    assert done.failures == {}
    assert held(mine, "sub-m1/kept.ome.zarr") == kept, "its name is taken, and its content must stay"
    assert held(mine, IMAGE) == files_of(folder) != kept


@pytest.mark.parametrize("how", ["its folder", "its gitlink", "its installed repository"])
def test_a_renamed_zarr_is_renamed_in_the_archive_and_no_bytes_are_sent(me: Person, mine: Dandiset, how: str) -> None:
    folder = write_ome(me.folder / IMAGE)
    me.upload()
    before, state = mine.draft.asset_at(IMAGE), me.git("rev-parse", f"draft:{IMAGE}")
    assert before and before.zarr
    if how != "its folder":
        shutil.rmtree(folder)
        folder.mkdir()
    if how == "its installed repository":
        run("dandi-mirror", "get", f"{IMAGE}/0", "-i", me.server.api_url, cwd=me.folder)
    new = "sub-m1/anat/sub-m1_T1w.ome.zarr"
    (me.folder / new).parent.mkdir()
    if how == "its folder":
        folder.rename(me.folder / new)
    else:
        me.git("mv", IMAGE, new)
    me.server.requests.clear()
    done = me.upload()
    assert (done.failures, done.steps[new], sent_entries(me)) == ({}, "rename", [])
    after = mine.draft.asset_at(new)
    assert after and after.zarr is before.zarr and mine.draft.asset_at(IMAGE) is None
    assert after.metadata["path"] == new
    assert me.git("rev-parse", f"draft:{new}") == state
    assert me.git("status", "--porcelain") == ""
    if how == "its installed repository":
        assert (me.folder / new / "0").is_dir() and any((me.folder / new / "0").iterdir())
    assert me.upload().planned.plan.changes == []


def test_a_zarr_whose_empty_folder_is_gone_stays_in_the_archive(me: Person, mine: Dandiset) -> None:
    folder = write_ome(me.folder / IMAGE)
    me.upload()
    shutil.rmtree(folder)
    done = me.upload(sync=True)
    assert (done.planned.plan.changes, paths(mine)) == ([], sorted([*THERE, IMAGE]))
    # to take it out of git is to delete it, with --sync
    folder.mkdir()
    me.git("rm", "-q", IMAGE)
    assert me.upload().steps == {IMAGE: "kept"}
    assert me.upload(sync=True).steps == {IMAGE: "delete"}
    assert (paths(mine), me.git("status", "--porcelain")) == (THERE, "")


def test_a_zarr_takes_the_place_of_a_file_and_a_file_that_of_a_zarr(
    me: Person, mine: Dandiset, archive: Archive
) -> None:
    mine.add_asset("a.ome.zarr", archive.add_blob(b"a file, strangely"))
    me.upload(update=True)
    (me.folder / "a.ome.zarr").unlink()
    write_ome(me.folder / "a.ome.zarr")
    assert me.upload().failures == {}
    assert held(mine, "a.ome.zarr") == files_of(me.folder / "a.ome.zarr")


def test_more_than_half_of_a_zarr_is_deleted_only_if_somebody_says_so(me: Person, mine: Dandiset) -> None:
    folder = write_ome(me.folder / IMAGE)
    me.upload()
    before = held(mine, IMAGE)
    shutil.rmtree(folder / "0")
    me.server.requests.clear()
    with pytest.raises(UnsafePlan, match=f"chunks that the archive has of {IMAGE} would be deleted"):
        me.upload()
    assert (held(mine, IMAGE), me.writes()) == (before, [])
    assert me.upload(allow_deletes=True).failures == {}
    assert held(mine, IMAGE) == files_of(folder)


def test_what_changes_within_a_zarr_while_it_is_sent_is_noticed_and_the_asset_is_not_made(
    me: Person, mine: Dandiset
) -> None:
    folder = write_ome(me.folder / IMAGE)

    def meanwhile(request: Request) -> Any:
        if request.method == "PUT" and "/zarr/" in request.path and not request.path.startswith("/api"):
            (folder / "0" / "3.3").write_bytes(b"written meanwhile")
            (folder / "0" / "new").write_bytes(b"new meanwhile")

    me.server.intercept = meanwhile
    done = me.upload()
    me.server.intercept = None
    assert "changed while it was read or sent" in done.failures[IMAGE]
    assert paths(mine) == THERE
    assert me.upload().failures == {}
    assert held(mine, IMAGE) == files_of(folder)


def test_json_gets_its_type_and_an_embargoed_entry_its_tag_as_the_stock_client_sends_them(
    me: Person, mine: Dandiset
) -> None:
    mine.embargo_status = "EMBARGOED"
    write_ome(me.folder / IMAGE)
    assert me.upload().failures == {}
    puts = {request.path.rpartition("/")[2]: request.headers for request in me.writes()
            if request.method == "PUT" and not request.path.startswith("/api")}  # fmt: skip
    assert puts[".zattrs"]["content-type"] == "application/json"
    assert "content-type" not in puts["0.0"]
    assert {headers["x-amz-tagging"] for headers in puts.values()} == {"embargoed=true"}
    assert all("authorization" not in headers for headers in puts.values())


def test_json_output_names_the_checksum(me: Person, mine: Dandiset, token: dict[str, str]) -> None:
    folder = write_ome(me.folder / IMAGE)
    done = run("dandi-mirror", "upload", "-f", "json", "-i", me.server.api_url, cwd=me.folder, env=token, code=None)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    [sent] = [record for record in records if record["action"] == "upload"]
    assert (sent["file"], sent["status"], sent["zarr_checksum"]) == (IMAGE, "ok", checksum(files_of(folder)))
    assert "sha256" not in sent
