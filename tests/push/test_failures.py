"""One sibling's failure is its own; the settings of siblings."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from dandi_mirror.config import Sibling, read_settings
from dandi_mirror.errors import LockedError, UsageError
from dandi_mirror.repo.git import lock
from tests.conftest import run
from tests.support.moments import reaches
from tests.support.published import TAG
from tests.support.pushing import Published, codes, type_in


def test_one_that_fails_is_one_line_and_the_others_go_on(two: Published) -> None:
    two.target.mkdir()
    (two.target / "000027").write_text("in the way")
    done = two.cli(code=3)
    assert [line.split()[0] for line in done.stderr.splitlines()] == ["000027", "superdataset"]
    assert two.there("000123") == two.here("000123")
    (two.target / "000027").unlink()
    two.cli()
    assert two.there("000027") == two.here("000027")
    assert two.there("") == two.here("")


def test_the_superdataset_waits_quietly_for_those_that_were_not_asked_for(two: Published) -> None:
    done = two.cli("000123")
    assert done.stdout == f"000123  backup  {TAG}, draft, git-annex\n"
    assert done.stderr == ""
    assert two.there("") == {}
    done = two.cli("DANDI:000027")
    assert done.stdout.endswith("superdataset  backup  draft\n")


def test_a_superdataset_that_waits_for_nobody_knows_whom_is_a_failure(two: Published, tmp_path: Path) -> None:
    (two.mirror.path / "000123").rename(tmp_path / "lost")
    reports = two.push()
    assert codes(reports) == {"000027": 0, "": 3}
    assert "does not have: 000123; 000123 is not in this mirror any more" in reports[""].message


def test_a_repository_that_is_lost_at_the_sibling_is_named_until_it_is_made_again(two: Published) -> None:
    two.cli()
    shutil.rmtree(two.target / "000123")
    assert two.cli().stdout == ""  # nothing has changed, so nobody is asked
    told = two.cli("--mode", "verify", code=3).stderr
    assert told.startswith("000123  backup  there is no repository of it at backup, or no disk with it: ")
    # it is not forgotten, and what hangs together with it waits
    assert two.cli(code=3).stderr == told
    run("sh", "-c", told[told.index("git -C") :].split(", ")[0])
    assert two.cli().stdout == f"000123  backup  {TAG}, draft, git-annex\n"
    assert two.there("000123") == two.here("000123")
    two.cli("--mode", "verify")


def test_a_ria_store_that_is_lost_is_made_again_as_the_message_says(two: Published, tmp_path: Path) -> None:
    (two.mirror.path / "dandi-mirror.toml").write_text(f'[sibling.store]\nurl = "ria+file://{tmp_path}/store"\n')
    two.mirror.cli("push")
    shutil.rmtree(tmp_path / "store")
    told = two.mirror.cli("push", "--mode", "verify", code=3).stderr
    for line in told.splitlines():
        run("sh", "-c", line[line.index("git -C") :].split(", ")[0])
    two.mirror.cli("push")
    two.mirror.cli("push", "--mode", "verify")
    assert (tmp_path / "store" / "alias" / "000123").exists()


def test_a_persons_remote_of_that_name_is_left_alone(two: Published) -> None:
    two.mirror.git("remote", "add", "backup", "/somewhere/else")
    report = two.push()["000123"]
    assert report.exit_code == 3
    assert two.mirror.git("remote", "get-url", "backup") == "/somewhere/else"
    type_in(report, "git -C")
    assert two.push()["000123"].exit_code == 0


def test_two_pushes_to_one_sibling_do_not_meet(two: Published) -> None:
    with (
        lock.hold(two.mirror.path / ".dandi-mirror" / "locks" / "push-backup.lock", "the sibling backup"),
        pytest.raises(LockedError),
    ):
        two.push()
    assert not two.target.exists()


def test_a_push_that_is_killed_is_completed_by_the_next(two: Published) -> None:
    two.configure()
    where = ("-d", str(two.mirror.path), "-i", two.mirror.server.api_url)
    for computed in (0.3, 0.36, 0.42, 0.5):
        child = subprocess.Popen([sys.executable, "-m", "dandi_mirror", "push", *where], start_new_session=True)
        if reaches(child, computed):
            with suppress(ProcessLookupError):  # it was faster
                os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    two.cli()
    for part in ("", "000027", "000123"):
        assert two.there(part) == two.here(part)
    two.change("000123")
    assert set(codes(two.push()).values()) == {0}


def test_what_a_killed_push_left_at_a_sibling_is_cleared_and_what_others_left_is_not(two: Published) -> None:
    assert two.push()["000123"].exit_code == 0
    theirs = two.target / "000123" / "refs" / "heads" / "other.lock"
    theirs.write_text("")
    os.utime(theirs, (1, 1))
    # as SIGKILL leaves it: the run's name in its lock, and git's locks where git was at work
    (two.mirror.path / ".dandi-mirror" / "locks" / "push-backup.lock").write_text('{"began": null, "ended": false}')
    left = [two.target / "000123" / name for name in ("config.lock", "refs/heads/draft.lock")]
    for lock_file in left:
        lock_file.write_text("")
    two.change("000123")
    assert set(codes(two.push()).values()) == {0}
    assert two.there("000123")["refs/heads/draft"] == two.here("000123")["refs/heads/draft"]
    assert [lock_file.exists() for lock_file in [*left, theirs]] == [False, False, True]


def test_what_a_killed_sync_left_is_made_good_before_a_sibling_is_set_up(two: Published) -> None:
    (two.mirror.path / ".dandi-mirror" / "locks" / "000123.lock").write_text("{}")
    left = two.mirror.path / "000123" / ".git" / "objects" / "pack" / "tmp_pack_x"
    left.write_text("")
    assert two.push()["000123"].exit_code == 0
    assert not left.exists()


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("/srv/dandi", "bare"),
        ("ssh://host/srv/dandi", "bare"),
        ("me@host:srv/dandi", "bare"),
        ("ria+file:///srv/store", "ria"),
        ("ria+ssh://host/store", "ria"),
        ("https://github.com/lab/dandi", "github"),
    ],
)
def test_what_a_sibling_is_follows_from_its_url(tmp_path: Path, url: str, kind: str) -> None:
    (tmp_path / "dandi-mirror.toml").write_text(f'[sibling.x]\nurl = "{url}"')
    assert read_settings(tmp_path).sibling == {"x": Sibling("x", url, kind)}


def test_a_service_is_named_by_its_type(tmp_path: Path) -> None:
    table = (
        '[sibling.x]\nurl = "https://git.example.org/lab/dandi"\ntype = "forgejo"\nprivate = true\ncredential = "forge"'
    )
    (tmp_path / "dandi-mirror.toml").write_text(table)
    wanted = Sibling("x", "https://git.example.org/lab/dandi", "forgejo", True, "forge")
    assert read_settings(tmp_path).sibling == {"x": wanted}


@pytest.mark.parametrize(
    "table",
    [
        "[sibling.x]",
        "[sibling]\nx = 1",
        '[sibling.x]\nurl = "/a"\nprivat = true',
        '[sibling.x]\nurl = "/a"\nprivate = "yes"',
        '[sibling.x]\nurl = "a"',
        '[sibling.x]\nurl = "https://git.example.org/lab/dandi"',
        '[sibling.x]\nurl = "https://git.example.org/lab"\ntype = "gitea"',
        '[sibling.x]\nurl = "https://me:secret@git.example.org/lab/dandi"\ntype = "gitea"',
        '[sibling.x]\nurl = "ssh://me:secret@host/x"',
        '[sibling.x]\nurl = "ria+file:///store#~x"',
        '[sibling.x]\nurl = "ext::sh -c x"',
        '[sibling.x]\nurl = "-x:y"',
        '[sibling.x]\nurl = "/a"\ntype = "gitea"',
        '[sibling.x]\nurl = "http://["',
        '[sibling.dandiapi]\nurl = "/a"',
        '[sibling."-x"]\nurl = "/a"',
    ],
)
def test_settings_that_name_no_sibling_are_errors_of_it_without_repeating_a_secret(tmp_path: Path, table: str) -> None:
    (tmp_path / "dandi-mirror.toml").write_text(table)
    (sibling,) = read_settings(tmp_path).sibling.values()
    assert sibling.error.startswith(f"{tmp_path}/dandi-mirror.toml: sibling ")
    assert "secret" not in repr(sibling)
    assert "\n" not in sibling.error


def test_a_sibling_without_a_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dandi-mirror.toml").write_text('sibling = "x"')
    with pytest.raises(UsageError, match="a sibling is a table of its own"):
        read_settings(tmp_path)


def test_wrong_calls_end_with_2_and_say_what_is_right(two: Published) -> None:
    wrong: list[tuple[tuple[str, ...], str]] = [
        (("--to", "nowhere"), "it has: backup"),
        (("000999",), "dandi-mirror sync 000999"),
        (("--all", "000123"), "not both"),
    ]
    for arguments, says in wrong:
        assert says in two.cli(*arguments, code=2).stderr
    (two.mirror.path / "dandi-mirror.toml").unlink()
    assert "has no sibling" in two.mirror.cli("push", code=2).stderr
    assert not two.target.exists()


@pytest.mark.parametrize("where", ["mirror", "mirror/published"])
def test_a_sibling_is_not_made_in_the_mirror_itself(two: Published, where: str) -> None:
    two.target = two.mirror.path.parent / where
    before = sorted(path.name for path in two.mirror.path.iterdir())
    assert "the mirror's own folder" in two.cli(code=2).stderr
    assert sorted(path.name for path in two.mirror.path.iterdir()) == sorted([*before, "dandi-mirror.toml"])


def test_a_folder_with_other_things_does_not_become_a_repository(two: Published) -> None:
    two.target.mkdir()
    (two.target / "thesis.tex").write_text("mine")
    done = two.cli(code=3)
    assert "holds thesis.tex" in done.stderr
    assert "refs" not in {path.name for path in two.target.iterdir()}


def test_config_shows_the_siblings(two: Published) -> None:
    two.configure("private = true\n")
    shown = run("dandi-mirror", "config", "-f", "json", "-d", str(two.mirror.path)).stdout.splitlines()
    (record,) = [json.loads(line) for line in shown if '"sibling"' in line]
    assert record["value"]["backup"]["private"] is True
