"""The git-annex of this run: what older releases cannot do is skipped for a reason that pytest's summary shows."""

from __future__ import annotations

from functools import cache

import pytest

from dandi_mirror.repo.git.programs import PROGRAMS, installed, version_numbers


@cache
def git_annex() -> str:
    """Its version."""
    return next(installed(program).version for program in PROGRAMS if program.name == "git-annex")


def is_older(version: tuple[int, ...]) -> bool:
    """Whether the git-annex of this run is older."""
    return version_numbers(git_annex()) < version


def needs_git_annex(version: tuple[int, ...], why: str) -> pytest.MarkDecorator:
    """Skip a test with an older git-annex; ``why`` says what that one does."""
    needed = ".".join(map(str, version))
    return pytest.mark.skipif(is_older(version), reason=f"git-annex {git_annex()}, and it needs {needed}: {why}")
