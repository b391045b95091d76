"""Settings that somebody else wrote: what they name is neither asked nor written to."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive, serve
from dandi_mirror.errors import UsageError
from dandi_mirror.paths import is_own, refuse_path
from dandi_mirror.upload.kinds import refuse_upload
from tests.conftest import MirrorOfTest, run
from tests.support.own_files import fill

MINE = "what was in this file before\n"


@pytest.fixture
def diary(tmp_path: Path) -> Path:
    """A file of the user's, which the settings name for the metrics."""
    file = tmp_path / "diary.prom"
    file.write_text(MINE)
    return file


def settings(diary: Path, api_url: str) -> str:
    return f'instance = "{api_url}"\nmetrics = "{diary}"\n'


@pytest.mark.parametrize(
    "path",
    ["dandi-mirror.toml", "Dandi-Mirror.TOML", "dandi-mirror.toml .", ".dandi-mirror/index.sqlite", ".DANDI-MIRROR",
     ".dandi-mirror-download/x"],
)  # fmt: skip
def test_names_of_ours_are_no_assets(path: str) -> None:
    assert refuse_path(path) == f"the name {path.partition('/')[0]} is the mirror's own"
    assert refuse_path(f"sub-a/{path}") is None or path.endswith(" .")


def test_an_upload_names_what_is_called_as_our_settings() -> None:
    assert not is_own("dandi-mirror.toml"), "it is not passed over in silence"
    assert "is the mirror's own" in str(refuse_upload("dandi-mirror.toml"))


def test_an_asset_called_as_our_settings_is_refused_and_its_content_kept(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    dandiset = archive.create_dandiset("000123", name="Mice")
    dandiset.add_asset("sub-a/a.nwb", archive.add_blob(b"a"))
    dandiset.add_asset("dandi-mirror.toml", archive.add_blob(b'instance = "https://evil.example.org/api"'))
    done = mirror.cli("sync", "000123", code=3)
    assert "the name dandi-mirror.toml is the mirror's own" in done.stderr
    assert not os.path.lexists(mirror.path / "000123" / "dandi-mirror.toml")
    assert [path.split("/")[1] for path in mirror.asset_paths()] == ["a.nwb"]
    assert any(path.startswith(".dandi/refused/") for path in mirror.tree())


def test_settings_that_came_with_a_clone_ask_nobody_and_write_nothing(
    archive: Archive, mirror: MirrorOfTest, diary: Path, tmp_path: Path
) -> None:
    fill(archive, mirror)
    clone = mirror.git_clone(tmp_path / "clone")
    with serve(Archive(instance_name="EVIL")) as evil:
        (clone / "dandi-mirror.toml").write_text(settings(diary, evil.api_url))
        run("git", "-C", str(clone), "add", "-f", "dandi-mirror.toml")
        run("git", "-C", str(clone), "-c", "annex.largefiles=nothing", "commit", "-q", "-m", "a gift")
        for command in (
            ["sync", "000123"],
            ["ls"],
            ["ls", "."],
            ["status"],
            ["search", "a"],
            ["login", "--check"],
            ["push"],
        ):
            done = run("dandi-mirror", *command, cwd=clone, code=None, env={"DANDI_API_KEY": "sesame"})
            assert "unexpected" not in done.stderr
            assert (evil.requests, diary.read_text()) == ([], MINE), command
        assert (
            "is not read, as this folder is not a mirror yet"
            in run("dandi-mirror", "sync", "000123", cwd=clone, code=2).stderr
        )
        done = run("dandi-mirror", "sync", "000123", "-d", str(clone), code=2)
        assert "is tracked by git" in done.stderr
        assert (evil.requests, diary.read_text()) == ([], MINE)


def test_a_link_in_place_of_the_settings_is_refused(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> None:
    fill(archive, mirror)
    (tmp_path / "elsewhere.toml").write_text("jobs = 2\n")
    (mirror.path / "dandi-mirror.toml").symlink_to(tmp_path / "elsewhere.toml")
    assert "is a link, and settings are read from a file of the mirror only" in mirror.cli("sync", code=2).stderr
    (mirror.path / "dandi-mirror.toml").unlink()
    (mirror.path / "dandi-mirror.toml").symlink_to(tmp_path / "new.toml")
    run("dandi-mirror", "config", "--init", "-d", str(mirror.path), code=2)
    assert not (tmp_path / "new.toml").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_settings_of_another_user_are_refused_and_those_of_the_mirrors_owner_read(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    fill(archive, mirror)
    file = mirror.path / "dandi-mirror.toml"
    file.write_text("jobs = 2\n")
    os.chown(file, 4711, 4711)
    assert "belongs to another user (number 4711)" in mirror.cli("sync", code=2).stderr
    os.chown(mirror.path, 4711, 4711)
    assert "2 " in run("dandi-mirror", "config", "-d", str(mirror.path)).stdout


def test_a_mirrors_own_settings_are_read_where_somebody_stands_in_it(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    fill(archive, mirror)
    (mirror.path / "dandi-mirror.toml").write_text(f'instance = "{mirror.server.api_url}"\n')
    assert "000123" in run("dandi-mirror", "sync", cwd=mirror.path).stdout
    shutil.rmtree(mirror.path / ".dandi-mirror")
    run("dandi-mirror", "sync", cwd=mirror.path)


@pytest.mark.parametrize("strange", ["folder", "archive"])
def test_a_refused_sync_leaves_the_file_alone_that_the_settings_name(
    strange: str, archive: Archive, mirror: MirrorOfTest, diary: Path, tmp_path: Path
) -> None:
    fill(archive, mirror)
    diary.unlink()
    with serve(Archive(instance_name="OTHER")) as other:
        other.archive.create_dandiset("000123", name="Other").add_asset("a.nwb", other.archive.add_blob(b"x"))
        folder, api_url = mirror.path, other.api_url
        if strange == "folder":
            folder, api_url = tmp_path / "photos", mirror.server.api_url
            folder.mkdir()
            (folder / "holiday.jpg").write_bytes(b"x")
        (folder / "dandi-mirror.toml").write_text(settings(diary, api_url))
        before = sorted(folder.glob(".dandi-mirror/log/*"))
        run("dandi-mirror", "sync", "000123", "-d", str(folder), code=2)
    assert not diary.exists()
    assert sorted(folder.glob(".dandi-mirror/log/*")) == before


def test_metrics_are_never_written_over_another_file(archive: Archive, mirror: MirrorOfTest, diary: Path) -> None:
    fill(archive, mirror)
    done = mirror.cli("sync", "--metrics", str(diary), code=6)
    assert "is not a metrics file of dandi-mirror" in done.stderr
    assert diary.read_text() == MINE
    diary.unlink()
    for _ in range(2):
        mirror.cli("sync", "--metrics", str(diary))
    assert diary.read_text().startswith("# HELP dandi_mirror_")
    assert diary.stat().st_mode & 0o777 == 0o644


def test_a_sibling_that_cannot_be_stops_the_push_to_it_and_nothing_else(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    fill(archive, mirror)
    (mirror.path / "dandi-mirror.toml").write_text(
        f'[sibling.web]\nurl = "/srv/www"\n[sibling.bad]\nurl = "ftp://x"\n[sibling.good]\nurl = "{tmp_path}/good"\n'
    )
    mirror.cli("sync", "000123")
    shown = run("dandi-mirror", "config", "-d", str(mirror.path)).stdout
    assert "sibling 'web': git-annex has a remote of this name already" in shown
    assert "sibling 'bad': its url must be" in shown
    assert "sibling 'web'" in mirror.cli("push", code=2).stderr
    assert "sibling 'bad'" in mirror.cli("push", "--to", "bad", code=2).stderr
    mirror.cli("push", "--to", "good")
    assert (tmp_path / "good" / "000123" / "HEAD").is_file()


def test_the_example_of_the_page_on_publishing_names_siblings_that_can_be(tmp_path: Path) -> None:
    from dandi_mirror.config import FILE, read_settings

    page = Path(__file__).parents[2] / "docs" / "publish-a-mirror.md"
    found = False
    for block in page.read_text().split("```toml\n")[1:]:
        (tmp_path / FILE).write_text(block.partition("```")[0])
        try:
            siblings = read_settings(tmp_path).sibling
        except UsageError as error:
            pytest.fail(str(error))
        assert {name: sibling.error for name, sibling in siblings.items() if sibling.error} == {}
        found = found or {"www", "backup"} <= siblings.keys()
    assert found


def test_a_sync_into_a_clone_is_refused_before_its_settings_count(
    archive: Archive, mirror: MirrorOfTest, diary: Path, tmp_path: Path
) -> None:
    fill(archive, mirror)
    clone = mirror.git_clone(tmp_path / "clone")
    with serve(Archive(instance_name="EVIL")) as evil:
        (clone / "dandi-mirror.toml").write_text(settings(diary, evil.api_url))
        done = run("dandi-mirror", "sync", "000123", "-d", str(clone), code=2)
    assert "is a clone of a Dandiset, not a mirror; name a mirror, or a new folder: -d DIR" in done.stderr
    assert (evil.requests, diary.read_text()) == ([], MINE)
