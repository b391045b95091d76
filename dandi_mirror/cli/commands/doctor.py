"""``dandi-mirror doctor``: show the versions of all programs that work together here."""

from __future__ import annotations

import click

from dandi_mirror.cli import options, output
from dandi_mirror.text import printable

LIBRARIES = ("datalad", "git-annex", "orjson", "requests", "urllib3", "click", "rich", "pynwb",
             "keyring", "keyrings.alt", "starlette", "uvicorn", "dandi")  # fmt: skip


NO_AUTHOR = (
    "git does not know your name: datalad clone, dandi-mirror get (where it clones), git commit and datalad save need "
    'it; type: git config --global user.name "Your Name" && git config --global user.email you@example.org'
)
"""A sync needs no name: its commits have an author of their own."""


@click.command("doctor")
@options.output
@options.log_level
def command(output: str) -> int:
    """Show the versions of all programs and libraries that dandi-mirror uses here, and which are too old.

    Exits with 1 if something is missing or too old, or if git does not know your name.  When you report a problem, add
    what `doctor` prints.

    \b
    Example:
      dandi-mirror doctor
    """
    import platform
    from importlib.metadata import PackageNotFoundError, version

    from dandi_mirror import __version__
    from dandi_mirror.repo.git.programs import author, installed_programs

    rows = [("dandi-mirror", __version__, ""), ("python", platform.python_version(), platform.platform())]
    found = installed_programs()
    rows += [(item.program.name, item.version or "not installed", item.path) for item in found]
    for name in LIBRARIES:
        try:
            rows.append((f"{name} (library)", version(name), ""))
        except PackageNotFoundError:
            rows.append((f"{name} (library)", "not installed", ""))
    rows.append(_keyring())
    complaints = [item.complaint for item in found if item.complaint]
    if all(item.path for item in found if item.program.name == "git"):
        who = author()
        rows.append(("git's name for you", "" if who else "none", printable(who)))
        complaints += [] if who else [NO_AUTHOR]
    _print(rows, complaints, output)
    return 1 if complaints else 0


def _keyring() -> tuple[str, str, str]:
    """Name the keyring that would be asked for an API key, without asking it."""
    from dandi_mirror.archive.credentials import backend_name
    from dandi_mirror.archive.keyrings import KeyringTrouble

    try:
        return "keyring in use", "", backend_name()
    except KeyringTrouble as error:
        return "keyring in use", "none", printable(str(error))


def _print(rows: list[tuple[str, str, str]], complaints: list[str], form: str) -> None:
    if form == "json":
        for name, version, where in rows:
            output.print_json({"action": "doctor", "status": "ok", "name": name, "version": version, "path": where})
        for complaint in complaints:
            output.print_json({"action": "doctor", "status": "error", "message": complaint})
        output.print_summary(1 if complaints else 0)
        return
    for name, version, where in rows:
        output.say(f"{name:22} {version:24} {where}".rstrip())
    for complaint in complaints:
        output.say(complaint, err=True)
