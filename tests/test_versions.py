"""The versions that ``doctor`` calls tested are those that tox tests and the pages name."""

from __future__ import annotations

import re
import tomllib

import pytest

from dandi_mirror.repo.git.programs import PROGRAMS, PYTHONS, version_numbers
from tests.conftest import run
from tests.support.pages import TOP, page, rows

pytestmark = pytest.mark.quick


def test_doctor_says_with_which_versions_the_tests_ran() -> None:
    said = run("dandi-mirror", "doctor").stdout
    for name, tested in {"python": PYTHONS, **{program.name: program.tested for program in PROGRAMS}}.items():
        assert re.search(rf"^{name} .*\(tested with {', '.join(map(re.escape, tested))}\)$", said, re.MULTILINE)


def test_the_page_names_the_same_versions() -> None:
    named = {row[0]: row[1:3] for row in rows(page("docs/platforms.md"), "## Versions")}
    assert named.pop("Python") == [PYTHONS[0], PYTHONS[-1]]
    assert named == {program.name: [program.tested[0], program.tested[-1]] for program in PROGRAMS}


def test_one_command_of_tox_runs_the_tests_with_each() -> None:
    tox = (TOP / "tox.ini").read_text()
    (label,) = re.findall(r"^labels = versions = (.*)$", tox, re.MULTILINE)
    (envs,) = re.findall(r"^\[testenv:\{(oldest,.*,newest)\}\]$", tox, re.MULTILINE)
    bases = dict(re.findall(r"^    (oldest|newest): py(\d+)$", tox, re.MULTILINE))
    chosen = [bases.get(name, name.removeprefix("py")) for name in label.split(", ")]
    assert sorted({f"{base[0]}.{base[1:]}" for base in chosen}) == list(PYTHONS)
    assert set(label.split(", ")) <= set(envs.split(","))


def test_the_oldest_that_is_accepted_is_the_oldest_that_is_tested() -> None:
    for program in PROGRAMS:
        assert version_numbers(program.tested[0])[: len(program.oldest)] == program.oldest
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == f">={PYTHONS[0]}"
    named = [line.rpartition(" :: ")[2] for line in project["classifiers"] if re.search(r"Python :: 3\.", line)]
    assert named == list(PYTHONS)
