"""What `push` brings to a sibling, what it never does there, and whom it asks for it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response

from dandi_mirror.archive.api.client import Archive as Client
from dandi_mirror.archive.http.session import Session
from dandi_mirror.config import Sibling, read_settings
from dandi_mirror.embedded import Archive, Dandiset
from dandi_mirror.errors import LockedError, TemporaryError, UsageError
from dandi_mirror.mirror.push.push import PushResult, PushRun, push_many
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.model import DandisetRow
from dandi_mirror.repo.git import lock
from tests.conftest import IMPATIENT, MirrorOfTest, run
from tests.support.moments import reaches
from tests.support.published import TAG, seed

ALL = [TAG, "draft", "git-annex"]


@dataclass
class Published:
    """A mirror of two Dandisets, and a folder of bare repositories to push it to."""

    mirror: MirrorOfTest
    dandisets: dict[str, Dandiset]
    target: Path

    def push(self, *ids: str, private: bool = False, ask: Any = None, **options: Any) -> dict[str, PushResult]:
        """A push in this process; the reports by Dandiset."""
        here = Mirror(self.mirror.path)
        with closing(Session(self.mirror.server.api_url, policy=IMPATIENT)) as session:
            sibling = Sibling("backup", str(self.target), "bare", private)
            asked = ask or Client(session).dandiset
            return {
                report.dandiset: report
                for report in push_many(PushRun(here, sibling, list(ids) or here.dandisets(), asked, **options), 2)
            }

    def cli(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """``dandi-mirror push``, with the sibling in the settings."""
        self.configure()
        return self.mirror.cli("push", *arguments, code=code)

    def configure(self, more: str = "") -> None:
        settings = f'[sibling.backup]\nurl = "{self.target}"\n{more}'
        (self.mirror.path / "dandi-mirror.toml").write_text(settings)

    def there(self, part: str) -> dict[str, str]:
        """Every ref of a repository at the sibling."""
        if not (self.target / part / "HEAD").exists():
            return {}
        lines = run("git", "-C", str(self.target / part), "show-ref", code=None).stdout.splitlines()
        return {ref: oid for oid, _, ref in (line.partition(" ") for line in lines)}

    def here(self, part: str) -> dict[str, str]:
        """What of a repository is to be published."""
        refs = self.mirror.refs(part)
        return {ref: oid for ref, oid in refs.items() if ref.startswith(("refs/heads/", "refs/tags/"))}

    def change(self, dandiset: str) -> None:
        made = self.dandisets[dandiset]
        made.add_asset(f"{len(made.archive.blobs)}.nwb", made.archive.add_blob(os.urandom(8)))
        assert self.mirror.sync(dandiset).exit_code == 0


@pytest.fixture
def two(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> Published:
    dandisets = {dandiset: seed(archive, dandiset) for dandiset in ("000027", "000123")}
    for dandiset in dandisets:
        assert mirror.sync(dandiset).exit_code == 0
    mirror.server.requests.clear()
    return Published(mirror, dandisets, tmp_path / "backup")


def codes(reports: dict[str, PushResult]) -> dict[str, int]:
    return {dandiset: report.exit_code for dandiset, report in reports.items()}


def type_in(report: PushResult, start: str) -> None:
    """Do what a report says should be typed, word for word."""
    begin = report.message.index(start)
    command = report.message[begin:].split(";")[0].split(",")[0]
    run(*shlex.split(command))


# --- what is brought ----------------------------------------------------------------------------------------


def test_branches_tags_and_the_git_annex_branch_are_brought_and_nothing_else(two: Published) -> None:
    two.mirror.git("branch", "mine", "draft")
    two.mirror.git("tag", "-a", "-m", "mine", "mine", "draft")
    done = two.cli()
    parts = [
        *(f"{dandiset}  backup  {TAG}, draft, git-annex" for dandiset in two.dandisets),
        "superdataset  backup  draft",
    ]
    assert done.stdout.splitlines() == parts
    assert two.there("000027") == two.here("000027")
    assert two.there("000123") == {ref: oid for ref, oid in two.here("000123").items() if "mine" not in ref}
    assert two.there("") == two.here("")
    asked = sorted(request.path for request in two.mirror.server.requests)
    assert asked[0].startswith("/api/dandisets/"), "whether they are open"
    assert asked[-1] == "/api/info/"
    assert not any("assets" in path or "blobs" in path for path in asked), "no content was fetched"
    assert not list(two.target.rglob("annex")), "nor brought"


def test_a_clone_of_the_sibling_finds_its_subdatasets_and_their_content(two: Published, tmp_path: Path) -> None:
    two.push()
    two.mirror.path.rename(tmp_path / "away")
    run("datalad", "clone", str(two.target), "clone", cwd=tmp_path)
    run("datalad", "get", "000123/a.nwb", cwd=tmp_path / "clone")
    assert (tmp_path / "clone" / "000123" / "a.nwb").read_bytes() == b"content of 000123"
    run("git", "clone", "-q", "--recurse-submodules", str(two.target), "plain", cwd=tmp_path)
    assert run("git", "tag", cwd=tmp_path / "plain" / "000027").stdout == f"{TAG}\n"


def test_a_push_with_nothing_to_do_is_silent_asks_nobody_and_starts_no_git(two: Published) -> None:
    two.cli()
    before = two.mirror.refs()
    two.mirror.server.requests.clear()
    done = two.cli("-l", "debug")
    assert (done.stdout, done.stderr) == ("", "")
    assert two.mirror.server.requests == []
    assert two.mirror.refs() == before
    done = two.cli("-f", "json")
    assert [json.loads(line)["status"] for line in done.stdout.splitlines()] == ["notneeded"] * 3 + ["ok"]


def test_only_what_moved_is_asked_about_and_pushed(two: Published) -> None:
    two.cli()
    two.change("000123")
    two.mirror.server.requests.clear()
    done = two.cli("-l", "debug")
    assert done.stdout == "000123  backup  draft, git-annex\nsuperdataset  backup  draft\n"
    commands = [line for line in done.stderr.splitlines() if " git -C " in line]
    assert len([line for line in commands if " ls-remote " in line]) == 4
    assert len([line for line in commands if " push " in line]) == 2
    assert not any(f"git -C {two.mirror.path}/000027" in line for line in commands)
    assert [request.path for request in two.mirror.server.requests] == ["/api/info/", "/api/dandisets/000123/"]
    assert two.there("000123") == two.here("000123")


def test_the_memory_of_what_was_pushed_may_be_deleted_or_spoilt(two: Published) -> None:
    two.push()
    memory = two.mirror.path / ".dandi-mirror" / "pushed.sqlite"
    for spoil in (memory.unlink, lambda: memory.write_bytes(b"no database" * 100)):
        spoil()
        assert {report.status for report in two.push().values()} == {"notneeded"}
    assert two.push(ask=refuse_to_answer)["000123"].status == "notneeded"


def test_a_dry_run_names_what_moved_and_touches_nothing(two: Published) -> None:
    before = (two.mirror.path / "000123" / ".git" / "config").read_text()
    done = two.cli("-n")
    assert f"000123  backup  {TAG}, draft, git-annex  (nothing was pushed: --dry-run)" in done.stdout
    assert two.mirror.server.requests == []
    assert not two.target.exists()
    assert (two.mirror.path / "000123" / ".git" / "config").read_text() == before
    assert not (two.mirror.path / ".dandi-mirror" / "pushed.sqlite").exists()


def test_a_sibling_that_moves_is_set_up_anew(two: Published, tmp_path: Path) -> None:
    two.push()
    two.target = tmp_path / "elsewhere"
    assert codes(two.push()) == {"000027": 0, "000123": 0, "": 0}
    assert two.there("000123") == two.here("000123")
    assert two.mirror.git("remote", "get-url", "backup") == f"{two.target}/000123"


def test_a_sibling_that_is_wiped_is_filled_again_when_its_remotes_are_removed(two: Published, tmp_path: Path) -> None:
    two.push()
    two.target.rename(tmp_path / "wiped")
    assert codes(two.push(verify=True)) == {"000027": 3, "000123": 3, "": 3}
    for part in ("", "000027", "000123"):
        two.mirror.git("remote", "remove", "backup", dandiset=part)
    assert set(codes(two.push(verify=True)).values()) == {0}
    assert two.there("000123") == two.here("000123")


# --- what is never forced -----------------------------------------------------------------------------------


def test_a_tag_deleted_at_the_sibling_stays_so_until_a_person_brings_it_back(two: Published) -> None:
    two.push()
    run("git", "-C", str(two.target / "000123"), "tag", "-d", TAG)
    two.change("000123")
    for again in (False, True):
        reports = two.push()
        assert codes(reports) == {"000027": 0, "000123": 3, "": 0}
        assert f"{TAG} was deleted there" in reports["000123"].message
        assert reports["000123"].refs == ([] if again else ["draft", "git-annex"]), "the rest goes on"
        assert f"refs/tags/{TAG}" not in two.there("000123")
    type_in(reports["000123"], "git -C")
    assert codes(two.push()) == {"000027": 0, "000123": 0, "": 0}
    assert two.there("000123") == two.here("000123")


@pytest.mark.quick
def test_another_tag_and_a_rewritten_branch_at_the_sibling_are_left_alone(two: Published) -> None:
    two.push()
    there = two.target / "000123"
    run("git", "-C", str(there), "tag", "-f", "-a", "-m", "other", TAG, "git-annex")
    tree = run("git", "-C", str(there), "rev-parse", "draft^{tree}").stdout.strip()
    other = run("git", "-C", str(there), "commit-tree", "-m", "other", tree).stdout.strip()
    run("git", "-C", str(there), "update-ref", "refs/heads/draft", other)
    before = two.there("000123")
    two.change("000123")
    reports = two.push()
    assert codes(reports) == {"000027": 0, "000123": 3, "": 0}
    assert "draft has commits there that are not here" in reports["000123"].message
    assert f"{TAG} is a different tag there" in reports["000123"].message
    assert "\n" not in reports["000123"].message
    after = two.there("000123")
    assert {ref for ref in after if after[ref] != before[ref]} == {"refs/heads/git-annex"}
    assert "it waits for" in reports[""].message, "it would name a commit that nobody can get"
    assert two.there("")["refs/heads/draft"] != two.here("")["refs/heads/draft"]


def test_a_git_annex_branch_with_logs_of_others_is_merged_by_what_the_line_says(two: Published, tmp_path: Path) -> None:
    two.push()
    run("git", "clone", "-q", "-b", "git-annex", str(two.target / "000123"), "other", cwd=tmp_path)
    (tmp_path / "other" / "uuid.log").write_text("8c5b25a3-4d5f-4a0e-8f41-0f4a8c4b3f5e somebody else's timestamp=1s\n")
    run("git", "add", "uuid.log", cwd=tmp_path / "other")
    run("git", "commit", "-q", "-m", "update", cwd=tmp_path / "other")
    run("git", "push", "-q", "origin", "git-annex", cwd=tmp_path / "other")
    theirs = two.there("000123")["refs/heads/git-annex"]
    two.change("000123")
    report = two.push()["000123"]
    assert report.exit_code == 3
    assert report.refs == ["draft"]
    assert two.there("000123")["refs/heads/git-annex"] == theirs
    type_in(report, "git -C")
    run(*shlex.split(report.message.partition("then ")[2]))
    assert two.push()["000123"].exit_code == 0
    assert "somebody else's" in two.mirror.git("show", "git-annex:uuid.log")
    assert two.there("000123") == two.here("000123")


@pytest.mark.quick
def test_what_no_sync_made_is_not_published(two: Published) -> None:
    two.mirror.git("commit", "-q", "--allow-empty", "-m", "mine")
    two.mirror.git("tag", "0.250101.0000", dandiset="000027")
    reports = two.push()
    assert codes(reports) == {"000027": 3, "000123": 3, "": 0}
    assert "commits that no sync made" in reports["000123"].message
    assert "was not made by a sync" in reports["000027"].message
    assert not (two.target / "000123").exists()
    assert not (two.target / "000027").exists()


# --- who may see it -----------------------------------------------------------------------------------------


@pytest.mark.quick
def test_an_embargoed_dandiset_goes_to_a_private_sibling_only(two: Published) -> None:
    two.dandisets["000123"].set_embargo("EMBARGOED")
    reports = two.push()
    assert codes(reports) == {"000027": 0, "000123": 3, "": 0}
    assert "it is not open (" in reports["000123"].message
    assert not (two.target / "000123").exists(), "not even its name"
    assert two.there("") == {}, "nor in the superdataset"
    two.mirror.server.requests.clear()
    assert set(codes(two.push(private=True)).values()) == {0}
    assert [request.path for request in two.mirror.server.requests] == ["/api/info/"], "nobody asked for a row"
    assert two.there("000123") == two.here("000123")


def test_a_sibling_that_is_private_no_more_is_asked_about_anew(two: Published) -> None:
    two.push(private=True)
    two.dandisets["000123"].set_embargo("EMBARGOED")
    run("git", "-C", str(two.target / "000123"), "update-ref", "-d", "refs/heads/draft")
    assert two.push()["000123"].exit_code == 3
    assert "refs/heads/draft" not in two.there("000123")


@pytest.mark.parametrize("status", ["EMBARGOED", "UNEMBARGOING", "open", ""])
def test_the_archives_word_right_before_the_push_counts(two: Published, status: str) -> None:
    two.push()
    two.change("000123")
    before, asked = two.there("000123"), []

    def ask(dandiset: str) -> DandisetRow:
        asked.append(dandiset)
        with closing(Session(two.mirror.server.api_url)) as session:
            row = Client(session).dandiset(dandiset)
        return DandisetRow(row.identifier, status, row.draft, row.published)

    assert two.push(ask=ask)["000123"].exit_code == 3
    assert asked == ["000123"]
    assert two.there("000123") == before


def test_a_dandiset_that_closes_while_its_repository_is_made_is_not_pushed(two: Published) -> None:
    answers = iter(["OPEN", "EMBARGOED"])

    def ask(dandiset: str) -> DandisetRow:
        with closing(Session(two.mirror.server.api_url)) as session:
            row = Client(session).dandiset(dandiset)
        return DandisetRow(row.identifier, next(answers), row.draft, row.published)

    assert two.push("000123", ask=ask)["000123"].exit_code == 3
    assert two.there("000123") == {}


def refuse_to_answer(dandiset: str) -> DandisetRow:
    raise TemporaryError("did not answer")


def test_without_the_archives_word_nothing_goes_and_the_exit_code_is_5(two: Published) -> None:
    reports = two.push(ask=refuse_to_answer)
    assert (reports["000123"].exit_code, reports["000027"].exit_code) == (5, 5)
    assert not two.target.exists()
    assert two.push(ask=refuse_to_answer, private=True)["000123"].status == "ok", "to a private one it goes"


def test_the_command_line_ends_with_5_when_the_archive_does_not_speak_its_language(two: Published) -> None:
    two.mirror.server.intercept = lambda request: Response("<html>we are back soon</html>")
    done = two.cli("000123", code=5)
    assert done.stderr.startswith("000123  backup  ")
    assert not two.target.exists()


def test_the_word_of_another_archive_does_not_count(two: Published, tmp_path: Path) -> None:
    from dandi_mirror.embedded import serve

    other = Archive(instance_name="OTHER", doi_prefix="10.48324")
    seed(other, "000123")
    two.configure()
    with serve(other) as served:
        done = run("dandi-mirror", "push", "-d", str(two.mirror.path), "-i", served.api_url, code=None)
        assert done.returncode in {2, 3}
        assert "mirrors another archive" in done.stderr
        assert not two.target.exists()


# --- one's failure is its own -------------------------------------------------------------------------------


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
    assert reports[""].message.endswith("does not have: 000123")


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


# --- the settings -------------------------------------------------------------------------------------------


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
