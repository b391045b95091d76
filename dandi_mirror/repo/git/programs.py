"""Check the installed versions of git, git-annex and DataLad against the oldest that work."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from dandi_mirror.errors import MirrorError
from dandi_mirror.repo.git.process import child_environment, find_program
from dandi_mirror.text import printable


@dataclass(frozen=True, slots=True)
class Program:
    """A program that a mirror needs, how to ask for its version, and the oldest version with which the tests pass."""

    name: str
    arguments: tuple[str, ...]
    oldest: tuple[int, ...]
    remedy: str
    tested: tuple[str, ...]
    """The versions with which the tests ran, oldest first."""
    lacks: tuple[tuple[tuple[int, ...], str], ...] = ()
    """What releases before a version do not do; a mirror works without it."""


VERIFIES_PARTS = (10, 20240227)
"""The first git-annex with keys of the kind ``VURL``."""
PROGRAMS = (
    Program(
        "git", ("--version",), (2, 39), "install a newer git from your system's packages",
        tested=("2.39.5", "2.55.0"),
    ),
    Program(
        "git-annex", ("version", "--raw"), (10, 20230126), "pip install -U git-annex",
        tested=("10.20230126", "10.20261026"),
        lacks=((
            VERIFIES_PARTS,
            "verify the files of Zarrs that were sent to the archive in parts, and get those of embargoed Zarrs",
        ),),
    ),
    Program("datalad", ("--version",), (1, 1), "pip install -U datalad", tested=("1.1.0", "1.7.1")),
)  # fmt: skip
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
"""The versions of Python with which the tests ran; `tox run -m versions` repeats it for these and for the programs."""


@dataclass(frozen=True, slots=True)
class InstalledProgram:
    """A program and the version of it that is installed."""

    program: Program
    path: str
    """Empty if it is not installed."""
    version: str
    said: str = ""
    """What it said instead of its version."""

    @property
    def complaint(self) -> str:
        """What is wrong with it and what to do, in one line; empty if it is good enough."""
        oldest = _dotted(self.program.oldest)
        if not self.path:
            return f"{self.program.name} is not installed (need {oldest} or newer); {self.program.remedy}"
        if not version_numbers(self.version):
            return self._broken
        if version_numbers(self.version) < self.program.oldest:
            return f"{self.program.name} {self.version} is too old (need {oldest}); {self.program.remedy}"
        return ""

    @property
    def _broken(self) -> str:
        """Why a program that does not tell its version is no use, and which other one there is."""
        beside = shutil.which(self.program.name, path=str(Path(sys.executable).parent))
        other = f"{beside} is another one" if beside and beside != self.path else self.program.remedy
        return (
            f"{self.path} does not work ({self.said or 'it does not tell its version'}); remove it, or put another one "
            f"before it in your PATH; {other}"
        )

    @property
    def lacking(self) -> list[str]:
        """What a newer version could do and this one cannot, a line each."""
        have = version_numbers(self.version)
        return [
            f"{self.program.name} {self.version} works, but only {_dotted(since)} and newer {what}; "
            f"{self.program.remedy}"
            for since, what in self.program.lacks
            if have and have < since
        ]


def version_numbers(text: str) -> tuple[int, ...]:
    """The numbers at the start of a version: ``10.20230126-2`` gives (10, 20230126)."""
    found = re.search(r"[0-9]+(?:\.[0-9]+)*", text)
    return tuple(int(number) for number in found[0].split(".")) if found else ()


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def installed(program: Program) -> InstalledProgram:
    """The installed version of a program."""
    try:
        path = find_program(program.name)
    except MirrorError:
        return InstalledProgram(program, "", "")
    # elsewhere: git-annex looks at the repository that it stands in, and waits if that is a pipe
    try:
        done = subprocess.run(
            [Path(path).absolute(), *program.arguments], capture_output=True, text=True, errors="replace", cwd="/",
            env=child_environment(), check=False,
        )  # fmt: skip
    except OSError as error:
        return InstalledProgram(program, path, "unknown", str(error.strerror))
    found = re.search(r"[0-9]+\.[0-9][^\s]*", done.stdout)
    if found and done.returncode == 0:
        return InstalledProgram(program, path, found[0])
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
    return InstalledProgram(program, path, "unknown", printable(*said) if said else f"it ended with {done.returncode}")


def installed_programs() -> list[InstalledProgram]:
    """The installed versions of all programs."""
    return [installed(program) for program in PROGRAMS]


def author() -> str:
    """The name and e-mail address that git writes into commits; empty if git does not know them."""
    given = {name: value for name, value in os.environ.items() if name.startswith(("GIT_AUTHOR_", "GIT_COMMITTER_"))}
    done = subprocess.run(
        [find_program("git"), "var", "GIT_COMMITTER_IDENT"], capture_output=True, text=True, errors="replace", cwd="/",
        env=child_environment() | given, check=False,
    )  # fmt: skip
    return "" if done.returncode else done.stdout.rpartition(">")[0] + ">"
