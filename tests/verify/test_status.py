"""``status`` shows what a verification found, until one that looks as closely finds it whole again."""

from __future__ import annotations

from pathlib import Path

import pytest

from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.state.verified import covers
from tests.conftest import MirrorOfTest
from tests.verify.campaign import corrupted


@pytest.mark.quick
@pytest.mark.parametrize(
    ("how", "before", "covered"),
    [
        ("repository archive", "repository archive", True),
        ("repository", "repository archive", False),
        ("repository archive", "repository archive content:0.02", False),
        ("repository archive content:0.5", "repository archive content:0.02", False),
        ("repository archive content:1", "repository archive content:0.02", True),
        ("repository archive content:1", "repository archive urls:0.1", False),
        ("repository archive content:1 urls:1", "repository", True),
    ],
)
def test_a_verification_covers_another_if_it_compares_all_that_the_other_may_have_found(
    how: str, before: str, covered: bool
) -> None:
    assert covers(how, before) is covered


def test_what_verify_found_is_a_row_with_what_to_type_until_it_is_whole_again(
    healthy: MirrorOfTest, tmp_path: Path
) -> None:
    mirror = corrupted("flip content", 1, healthy, tmp_path / "mirror")
    assert "damaged" not in mirror.cli("status").stdout
    mirror.cli("verify", "000123", "--content", "1", code=7)
    first, advice, *rest = mirror.cli("status", code=7).stdout.splitlines()
    assert first.startswith("000123  damaged")
    assert (
        "verify found it damaged" in advice
        and f"dandi-mirror verify 000123 --content 1 -d {mirror.path}; to repair it" in advice
    )
    assert rest[-1].startswith("000124  up to date")
    mirror.cli("verify", "000123")
    assert "000123  damaged" in mirror.cli("status", code=7).stdout, (
        "content was not hashed, so it may be damaged still"
    )
    mirror.cli("verify", "000123", "--content", "1", "--repair")
    assert "damaged" not in mirror.cli("status").stdout


def test_own_commits_are_named_by_status_and_by_a_repair_that_moves_the_branch(
    healthy: MirrorOfTest, tmp_path: Path
) -> None:
    mirror = corrupted("flip content", 1, healthy, tmp_path / "mirror")
    commits = []
    for number in (1, 2):
        (mirror.path / "000123" / "mine.txt").write_text(f"mine {number}\n")
        mirror.git("add", "mine.txt")
        mirror.git("commit", "-q", "-m", "mine")
        commits.append(mirror.git("rev-parse", "draft"))
        first, why, *_ = mirror.cli("status", "000123", code=3).stdout.splitlines()
        assert first.startswith("000123  failed") and f"branch mine {commits[-1][:10]}, then take draft back" in why
        said = mirror.cli("verify", "000123", "--repair").stdout
        assert f"git -C {mirror.path / '000123'} branch mine {commits[-1][:10]}\n" in said
        assert mirror.cli("status", "000123").stdout.startswith("000123  up to date")
    kept = {ref: oid for ref, oid in mirror.refs().items() if "before-repair/heads/draft" in ref}
    assert sorted(kept.values()) == sorted(commits)


@pytest.mark.parametrize("typed", [["000123"], []])
def test_a_repair_takes_what_the_mirror_remembers_as_damaged(
    typed: list[str], healthy: MirrorOfTest, tmp_path: Path
) -> None:
    mirror = corrupted("flip content", 1, healthy, tmp_path / "mirror")
    mirror.cli("verify", "000123", "--content", "1", "--urls", "1", code=7)
    assert "hash all content" in mirror.cli("verify", *typed, "--repair", "-n", code=7).stdout
    assert "hash all content" in mirror.cli("verify", *typed, "--repair").stdout
    assert "damaged" not in mirror.cli("status").stdout
    # the other one was never damaged, and its content was not hashed
    how = {name: one.how for name, one in Mirror(mirror.path).verifications.read().items()}
    assert "content:1" in how["000123"] and "content" not in how.get("000124", "")
