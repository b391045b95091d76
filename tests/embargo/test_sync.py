"""A Dandiset under embargo is mirrored with a token, and for nobody else."""

from __future__ import annotations

from pathlib import Path

from dandi_mirror.archive.instances import token_variable
from dandi_mirror.embedded import Archive, Dandiset
from dandi_mirror.repo.annex import logs
from tests.conftest import MirrorOfTest, run
from tests.support.credentials import TOKEN
from tests.support.embargo import CONTENT, FILE, asset_id, with_token, without_program
from tests.support.terminal import on_terminal


def test_an_embargoed_dandiset_is_mirrored_with_a_token_and_nothing_of_it_is_asked_of_s3_but_by_signed_urls(
    closed: Dandiset, mirror: MirrorOfTest, token: dict[str, str]
) -> None:
    done = mirror.cli("sync", "000123", "--embargoed", env=token)
    assert (done.stdout, done.stderr) == ("000123  4 files, 39 bytes  +4\n", "")
    blobs = [request for request in mirror.server.requests if "/blobs/" in request.path]
    assert len(blobs) == 1, "the text file"
    assert "X-Amz-Signature" in blobs[0].query
    assert all(request.path.startswith("/api/") for request in with_token(mirror.server))
    assert (mirror.path / "000123" / "README").read_text() == "not for all\n"
    told = mirror.cli("sync", "000123", "--embargoed", "--mode", "force", "-l", "debug", env=token).stderr
    assert "/users/me/" not in told
    assert "X-Amz" not in told
    assert TOKEN not in told
    again = mirror.cli("sync", "--embargoed", env=token)
    assert (again.stdout, again.stderr) == ("", "")
    assert mirror.cli("status", "000123", env=token | {"DANDI_MIRROR_EMBARGOED": "true"}).stdout.startswith(
        "000123  up to date"
    )


def test_its_folder_is_not_for_every_user_as_long_as_it_is_embargoed(
    made: MirrorOfTest, closed: Dandiset, token: dict[str, str]
) -> None:
    folder = made.path / "000123"
    assert folder.stat().st_mode & 0o7 == 0 and made.path.stat().st_mode & 0o5 == 0o5
    made.cli("verify", "--embargoed", env=token)
    folder.chmod(0o755)
    assert "every user of this machine may read it" in made.cli("verify", "--embargoed", env=token, code=7).stdout
    closed.add_asset("later.txt", closed.archive.add_blob(b"later"))
    made.cli("sync", "000123", "--embargoed", env=token)
    assert folder.stat().st_mode & 0o7 == 0
    closed.set_embargo("OPEN")
    made.cli("sync", "000123")
    assert folder.stat().st_mode & 0o5 == 0o5


def test_its_logs_name_the_api_and_no_place_that_gives_nothing(made: MirrorOfTest) -> None:
    key = made.keys()[FILE]
    assert made.urls(key) == {made.server.archive.api_url + f"/assets/{asset_id(made, FILE)}/download/"}
    present = logs.present(annex_file(made, f"{key}.log"))
    assert present == {logs.embargo_remote(made.server.api_url)[0]: True}
    assert b"/blobs/" not in annex_file(made, f"{key}.log.web")


def annex_file(mirror: MirrorOfTest, name: str) -> bytes:
    paths = mirror.git("ls-tree", "-r", "--name-only", "git-annex").splitlines()
    path = next(path for path in paths if path.rpartition("/")[2] == name)
    return (mirror.git("cat-file", "blob", f"git-annex:{path}") + "\n").encode()


def test_without_the_option_it_is_refused_and_the_option_is_named(
    closed: Dandiset, mirror: MirrorOfTest, token: dict[str, str]
) -> None:
    assert "--embargoed" in mirror.cli("sync", "000123", code=3, env=token).stderr
    assert not (mirror.path / "000123").exists()
    mirror.cli("sync", "--all", env=token)
    assert not (mirror.path / "000123").exists()


def test_what_a_sync_without_a_key_found_is_not_said_of_what_the_key_opens(
    closed: Dandiset, archive: Archive, mirror: MirrorOfTest, token: dict[str, str]
) -> None:
    archive.create_dandiset("000125", name="of all")
    closed.set_embargo("OPEN")
    mirror.cli("sync", "000123")
    closed.set_embargo("EMBARGOED")
    assert "forbidden" in mirror.cli("sync", code=3).stderr
    said = mirror.cli("status", env=token, code=3).stdout
    assert said.startswith("000123  embargoed") and "forbidden" not in said
    assert f"dandi-mirror sync 000123 --embargoed -d {mirror.path}; for each sync: embargoed = true" in said
    assert "forbidden" in mirror.cli("status", code=3).stdout
    typed = ["sync", "-d", str(mirror.path), "-i", mirror.server.api_url]
    with on_terminal(*typed, env=token) as seen:
        assert seen.end() == 3
    assert seen.plain.endswith(
        f"an earlier run reported has not changed; to see it: dandi-mirror status -d {mirror.path}"
    )
    again = mirror.cli("sync", env=token, code=3)
    assert (again.stdout, again.stderr) == ("", ""), "cron mails what is new only"


def test_a_run_over_all_takes_those_that_the_token_opens_and_a_setting_says_it_too(
    archive: Archive, closed: Dandiset, mirror: MirrorOfTest, token: dict[str, str]
) -> None:
    archive.create_dandiset("000124", name="of somebody else").set_embargo("EMBARGOED")
    archive.create_dandiset("000125", name="of all")
    mirror.cli("sync", "--all", env=token | {"DANDI_MIRROR_EMBARGOED": "1"})
    assert (mirror.path / "000123").exists()
    assert not (mirror.path / "000124").exists()
    mirror.server.requests.clear()
    assert mirror.cli("sync", "--all", "--embargoed", env=token).stdout == ""
    assert len(mirror.server.requests) == 2, "nothing new costs no more than among open ones"
    stranger = {token_variable(mirror.server.api_url): "f" * 40}
    assert "forbidden" in mirror.cli("sync", "--embargoed", env=stranger, code=3).stderr
    assert (mirror.path / "000123" / "README").exists(), "what is there stays"


def test_workers_of_a_cluster_get_no_token_so_both_together_are_refused(
    closed: Dandiset, mirror: MirrorOfTest, token: dict[str, str]
) -> None:
    done = mirror.cli("sync", "--all", "--embargoed", "--scheduler", "tcp://127.0.0.1:1", env=token, code=2)
    assert "the workers of a cluster get no API key" in done.stderr


def test_the_end_of_the_embargo_brings_s3_and_switches_the_remote_off(
    closed: Dandiset, made: MirrorOfTest, tmp_path: Path
) -> None:
    closed.set_embargo("OPEN")
    assert made.cli("status", "000123").stdout.startswith("000123  behind")
    made.cli("sync", "000123")
    key = made.keys()[FILE]
    assert logs.present(annex_file(made, f"{key}.log")) == {
        logs.WEB: True,
        logs.embargo_remote(made.server.api_url)[0]: False,
    }
    assert any("/blobs/" in url for url in made.urls(key))
    assert {record["metadata"]["access"][0]["status"] for record in made.records()} == {"dandi:OpenAccess"}
    assert b" X timestamp=" in annex_file(made, "trust.log")
    assert made.cli("sync", "000123", "--mode", "verify").stdout == ""
    # on a machine without our program: silent, and content comes
    environment = without_program(tmp_path)
    done = run("datalad", "clone", str(made.path / "000123"), "clone", cwd=tmp_path, env=environment)
    assert "dandi-embargoed" not in done.stderr
    assert "git-annex-remote-dandi" not in done.stderr
    done = run("datalad", "get", FILE, cwd=tmp_path / "clone", env=environment)
    assert "git-annex-remote-dandi" not in done.stderr
    assert (tmp_path / "clone" / FILE).read_bytes() == CONTENT


def test_a_version_has_the_same_hash_whether_its_draft_was_mirrored_under_embargo_or_not(
    closed: Dandiset, made: MirrorOfTest, token: dict[str, str], tmp_path: Path
) -> None:
    closed.set_embargo("OPEN")
    closed.publish("0.240101.0000", created="2024-01-01T00:00:00Z")
    made.cli("sync", "000123")
    fresh = MirrorOfTest(tmp_path / "fresh", made.server)
    fresh.cli("sync", "000123", "--embargoed", env=token)
    tags = [mirror.git("rev-parse", "0.240101.0000") for mirror in (made, fresh)]
    assert tags[0] == tags[1]
    assert made.git("rev-parse", "draft^{tree}") == fresh.git("rev-parse", "draft^{tree}")
    assert b"externaltype" not in annex_file(fresh, "remote.log"), "an open Dandiset has no such remote"
