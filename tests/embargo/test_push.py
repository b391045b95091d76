"""What others get to see of a Dandiset that was under embargo."""

from __future__ import annotations

from pathlib import Path

from dandi_mirror.embedded import Dandiset
from tests.conftest import MirrorOfTest, run
from tests.support.embargo import FILE, OTHER


def test_what_was_under_embargo_once_is_pushed_to_private_siblings_only(
    closed: Dandiset, made: MirrorOfTest, token: dict[str, str], tmp_path: Path
) -> None:
    settings = made.path / "dandi-mirror.toml"
    settings.write_text(f'[sibling.public]\nurl = "{tmp_path}/public"\n')
    assert "it is not open (" in made.cli("push", "000123", env=token, code=3).stderr
    closed.delete_asset(FILE)
    closed.set_embargo("OPEN")
    made.cli("sync", "000123")
    assert "began under an embargo" in made.cli("push", "000123", code=3).stderr
    assert not (tmp_path / "public" / "000123").exists()
    settings.write_text(f'[sibling.ours]\nurl = "{tmp_path}/ours"\nprivate = true\n')
    made.cli("push")
    # a new history has nothing of it
    settings.write_text(f'[sibling.public]\nurl = "{tmp_path}/public"\n')
    (made.path / "000123").rename(tmp_path / "old")
    made.cli("sync", "000123")
    made.cli("push", "000123")
    names = run("git", "-C", str(tmp_path / "public" / "000123"), "log", "--format=", "--name-only", "draft").stdout
    assert OTHER in names
    assert FILE not in names
