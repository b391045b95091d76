"""A version that does not exist: every command says so, and names the nearest that do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dandi_mirror.archive.name_parts import no_version
from dandi_mirror.errors import UsageError
from dandi_mirror.mirror.locate.targets import Target, make, not_cloned
from dandi_mirror.repo.git.process import GitError
from tests.conftest import MirrorOfTest, only_asked, run
from tests.support.two_versions import FIRST, SECOND, filled

NEAR = FIRST[:-1] + "1"
COMMANDS = {
    "get": [], "ls": [], "download": [], "cite": [], "worktree": ["w"], "export": ["--as", "metalink"], "diff": [],
}  # fmt: skip


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MirrorOfTest]:
    """A mirror that is only asked."""
    with only_asked(tmp_path_factory.mktemp("asked"), filled) as mirror:
        yield mirror


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_names_the_nearest(command: str, asked: MirrorOfTest, tmp_path: Path) -> None:
    clone = asked.git_clone(tmp_path / "clone")
    for wrong, near in ((NEAR, FIRST), (FIRST[:-1], FIRST), ("drft", "draft"), (FIRST[:4], SECOND)):
        for folder, options in ((tmp_path, ["-d", str(asked.path)]), (clone, [])):
            arguments = [command, f"000123@{wrong}", *COMMANDS[command], *options]
            done = run("dandi-mirror", *arguments, cwd=folder, code=None)
            assert done.returncode in {2, 3}, (arguments, done.stderr)
            assert f"000123@{wrong} is not in " in done.stderr, arguments
            assert f"did you mean 000123@{near}" in done.stderr
            assert done.stderr.count("\n") == 1 and "six digits" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clone", "home"]


def test_without_a_mirror_the_archive_says_which_versions_it_has(asked: MirrorOfTest, tmp_path: Path) -> None:
    for command in ("ls", "download"):
        done = run("dandi-mirror", command, f"000123@{NEAR}", "-i", asked.server.api_url, cwd=tmp_path, code=3)
        assert f"000123@{NEAR} is not in {asked.server.api_url}; did you mean 000123@{FIRST}" in done.stderr
        assert "find it by words" not in done.stderr


def test_a_public_mirror_without_the_version_says_which_it_has(asked: MirrorOfTest, tmp_path: Path) -> None:
    source = str(asked.path / "000123")
    with pytest.raises(UsageError, match=f"000123@{NEAR} is not in {source}; did you mean 000123@{FIRST}"):
        make(Target(tmp_path / "000123", "000123", NEAR, source))
    assert not (tmp_path / "000123").exists()


@pytest.mark.parametrize(
    ("said", "words", "code"),
    [
        ("fatal: unable to access 'https://x.invalid/000889/': Could not resolve host: x.invalid",
         "the mirror M does not have 000889; and x.invalid could not be reached (unable to access", 5),
        ("fatal: repository 'https://x.invalid/000889/' not found",
         "the mirror M does not have 000889; and https://x.invalid/000889 is not there; name a mirror", 3),
    ],
)  # fmt: skip
def test_a_public_mirror_that_does_not_give_a_dandiset_is_named_with_what_to_type(
    said: str, words: str, code: int, tmp_path: Path
) -> None:
    place = Target(tmp_path / "000889", "000889", None, "https://x.invalid/000889", lacking=Path("M"))
    error = not_cloned(place, GitError(f"{tmp_path}: git clone ended with 128: {said}"))
    assert str(error).startswith(words) and error.exit_code == code
    assert "dandi-mirror sync 000889 -d DIR" in str(error)


def test_without_a_near_one_the_newest_are_named() -> None:
    names = [f"0.24010{number}.0000" for number in range(1, 6)]
    assert no_version("000123", "x", "M", names) == (
        "000123@x is not in M; it has 000123@0.240105.0000, 000123@0.240104.0000, 000123@0.240103.0000, …"
    )
    assert no_version("000123", "x", "M", []) == "000123@x is not in M; it has no version yet"
    assert no_version("000123", SECOND, "M", [FIRST]).endswith(f"did you mean 000123@{FIRST}?")
