"""``dandi-mirror doctor``: show the versions of all programs that work together here."""

from __future__ import annotations

from typing import NamedTuple

import click

from dandi_mirror.cli import options, output
from dandi_mirror.text import printable

LIBRARIES = ("datalad", "git-annex", "orjson", "requests", "urllib3", "click", "rich", "pynwb",
             "keyring", "keyrings.alt", "starlette", "uvicorn", "dandi")  # fmt: skip

_ROOM = 24
"""Letters of a version in the table; the commit behind git-annex's may be cut, -f json has all of it."""
NO_AUTHOR = (
    "git does not know your name: datalad clone, git annex, git commit and datalad save need "
    'it; type: git config --global user.name "Your Name" && git config --global user.email you@example.org'
)
"""A sync needs no name: its commits have an author of their own."""


class Row(NamedTuple):
    """One line of what is printed."""

    name: str
    version: str
    where: str = ""
    tested: tuple[str, ...] = ()
    """The versions with which the tests ran."""

    def __str__(self) -> str:
        tested = f"  (tested with {', '.join(self.tested)})" if self.tested else ""
        return f"{self.name:22} {self.version[:_ROOM]:{_ROOM}} {self.where}{tested}".rstrip()


@click.command("doctor")
@options.output
@options.log_level
def command(output: str) -> int:
    """Show the versions of all programs and libraries that dandi-mirror uses here, and which are too old.

    For Python, git, git-annex and DataLad it also shows with which versions the tests ran.  Others between and after
    these should work; the last lines name what an old one cannot do.

    Exits with 1 if something is missing or too old, or if git does not know your name.  When you report a problem, add
    what `doctor` prints.

    \b
    Example:
      dandi-mirror doctor
    """
    import platform
    from importlib.metadata import PackageNotFoundError, version

    from dandi_mirror import __version__
    from dandi_mirror.repo.git.programs import PYTHONS, author, installed_programs

    rows = [Row("dandi-mirror", __version__), Row("python", platform.python_version(), platform.platform(), PYTHONS)]
    found = installed_programs()
    rows += [Row(item.program.name, item.version or "not installed", item.path, item.program.tested) for item in found]
    for name in LIBRARIES:
        try:
            rows.append(Row(f"{name} (library)", version(name)))
        except PackageNotFoundError:
            rows.append(Row(f"{name} (library)", "not installed"))
    rows.append(_keyring())
    complaints = [item.complaint for item in found if item.complaint]
    if all(item.path for item in found if item.program.name == "git"):
        who = author()
        rows.append(Row("git's name for you", "" if who else "none", printable(who)))
        complaints += [] if who else [NO_AUTHOR]
    lacking = [line for item in found if not item.complaint for line in item.lacking]
    _print(rows, complaints, lacking, output)
    return 1 if complaints else 0


def _keyring() -> Row:
    """Name the keyring that would be asked for an API key, without asking it."""
    from dandi_mirror.archive.credentials import backend_name
    from dandi_mirror.archive.keyrings import KeyringTrouble

    try:
        return Row("keyring in use", "", backend_name())
    except KeyringTrouble as error:
        return Row("keyring in use", "none", printable(str(error)))


def _print(rows: list[Row], complaints: list[str], lacking: list[str], form: str) -> None:
    if form == "json":
        for row in rows:
            facts = {"name": row.name, "version": row.version, "path": row.where}
            tested = {"tested": row.tested} if row.tested else {}
            output.print_json({"action": "doctor", "status": "ok"} | facts | tested)
        for line in lacking:
            output.print_json({"action": "doctor", "status": "ok", "message": line})
        for complaint in complaints:
            output.print_json({"action": "doctor", "status": "error", "message": complaint})
        output.print_summary(1 if complaints else 0)
        return
    for row in rows:
        output.say(str(row))
    for line in lacking:
        output.say(line)
    for complaint in complaints:
        output.say(complaint, err=True)
