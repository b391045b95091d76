"""A draft that is validated for hours; publish in a clone."""

from __future__ import annotations

import threading
from pathlib import Path

from dandi_mirror.embedded import Archive, Dandiset, Request
from tests.conftest import MirrorOfTest, run


def test_a_draft_whose_validation_moves_its_time_and_no_list_entry_is_mirrored_while_that_goes_on(
    mine: Dandiset, archive: Archive, mirror: MirrorOfTest
) -> None:
    lock = threading.Lock()

    def validating(request: Request) -> None:
        with lock:
            mine.draft.modified = archive.now()
            mine.draft.status = "Validating"

    mirror.server.intercept = validating
    report = mirror.sync()
    assert (report.exit_code, report.added) == (0, 3), report.message
    mine.add_asset("new.dat", archive.add_blob(b"new"))
    assert mirror.sync().added == 1, "also where little is read"
    assert mirror.asset_paths() == sorted(asset.path for asset in mine.draft)
    head = mirror.refs()["refs/heads/draft"]
    mirror.sync()
    assert mirror.refs()["refs/heads/draft"] == head, "and nothing is committed where nothing changed"


def test_a_draft_whose_record_changes_while_it_is_read_is_read_again(
    mine: Dandiset, archive: Archive, mirror: MirrorOfTest
) -> None:
    names = iter(["Another name"])

    def editing(request: Request) -> None:
        if request.path.endswith("/draft/assets/") and (name := next(names, "")):
            mine.set_metadata(dict(mine.draft.given) | {"name": name})

    mirror.server.intercept = editing
    assert mirror.sync().exit_code == 0
    assert "Another name" in mirror.git("show", "draft:dandiset.yaml")


def test_in_a_clone_the_archive_is_the_one_of_the_clone_and_the_version_comes_into_it(
    mine: Dandiset, mirror: MirrorOfTest, token: dict[str, str], tmp_path: Path
) -> None:
    mirror.sync()
    clone = tmp_path / "clone"
    run("datalad", "clone", str(mirror.path / "000123"), str(clone))
    said = run("dandi-mirror", "publish", "000123", "-n", cwd=clone, env=token).stdout
    assert "000123 could be published now" in said
    said = run("dandi-mirror", "publish", "000123", "--yes", cwd=clone, env=token).stdout
    (version,) = mine.published
    assert f"000123@{version.version} is published and mirrored" in said
    assert version.version in run("git", "tag", cwd=clone).stdout.split()
    assert run("git", "status", "--porcelain", cwd=clone).stdout == ""
    assert not (clone / ".dandi-mirror").exists() and not (clone / "000123").exists()


def test_a_clone_from_an_archive_on_this_machine_never_stands_for_the_real_archive(
    mine: Dandiset, mirror: MirrorOfTest, token: dict[str, str], tmp_path: Path
) -> None:
    mirror.sync()
    clone = mirror.git_clone(tmp_path / "clone")
    run("git", "config", "--global", "--unset", "annex.security.allowed-ip-addresses")
    at = mirror.server.api_url
    for command in ("upload -n", "publish 000123 -n", "status 000123", "login --check", "logout"):
        said = run("dandi-mirror", *command.split(), cwd=clone, env=token, code=2).stderr
        assert f"{clone} is a clone from the archive {at}; if you know that archive: -i {at}; 127.0.0.1 is on" in said
    run("dandi-mirror", "upload", "-n", "-i", at, cwd=clone, env=token)
    assert "000123" in run("dandi-mirror", "ls", ".", cwd=clone).stdout, "what is here needs no archive"


def test_commands_that_look_into_a_mirror_say_in_a_clone_that_it_is_one_and_what_to_type(
    mine: Dandiset, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    mirror.sync()
    clone = tmp_path / "clone"
    run("datalad", "clone", str(mirror.path / "000123"), str(clone))
    mirror.server.requests.clear()
    for command, instead in {
        ("status",): "dandi-mirror upload -n",
        ("search", "sub-1"): "git annex find --metadata",
        ("which", "dandiset.yaml"): "git annex find --include='*' --format='${file} ${key}\\n' | grep -i DIGEST",
        ("push",): "",
        ("push", "-d", "."): "",
        ("verify",): "",
        ("hold", "--max-size", "1G"): "",
        ("coverage",): "",
        ("challenge",): "",
        ("fetch",): "",
        ("restore", "000123@draft"): "",
        ("config",): "",
        ("catalogue", "build", "pages"): "dandi-mirror ls .",
        ("serve",): "dandi-mirror ls .",
    }.items():
        said = run("dandi-mirror", *command, cwd=clone, code=2).stderr
        assert f"{clone} is a clone of 000123" in said and "-d DIR" in said and instead in said
        assert "dandi-mirror sync" not in said
    said = run("dandi-mirror", "push", cwd=mirror.path / "000123", code=2).stderr
    assert f"{mirror.path}/000123 is a mirror's dataset of 000123" in said and f"-d {mirror.path}\n" in said
    found = run("git", "annex", "find", "--include=*", "--format=${file} ${key}\\n", cwd=clone).stdout
    assert all(len(line.split("--")[1].partition(".")[0]) == 64 for line in found.splitlines()) and found
    assert mirror.server.requests == []
    # the archive of the clone is asked, and no other
    done = run("dandi-mirror", "status", "000123", cwd=clone, code=3)
    assert done.stdout == "000123  not mirrored\n"
    assert f"{clone} is a clone of 000123" in done.stderr and "dandi-mirror upload -n" in done.stderr
