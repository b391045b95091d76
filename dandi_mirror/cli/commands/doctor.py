"""``dandi-mirror doctor``."""

from __future__ import annotations

import click

from dandi_mirror.cli import options, output
from dandi_mirror.text import printable

LIBRARIES = ("datalad", "git-annex", "orjson", "requests", "urllib3", "click", "rich", "pynwb",
             "keyring", "keyrings.alt", "starlette", "uvicorn", "dandi")  # fmt: skip


@click.command("doctor")
@options.output
@options.log_level
def command(output: str) -> int:
    """Say which versions of everything are at work here, and what is too old to be relied on.

    Ends with 1 when something is missing or too old.  Put its output into a report of a problem.
    """
    import platform
    from importlib.metadata import PackageNotFoundError, version

    from dandi_mirror import __version__
    from dandi_mirror.repo.git.programs import look_all

    rows = [("dandi-mirror", __version__, ""), ("python", platform.python_version(), platform.platform())]
    found = look_all()
    rows += [(item.program.name, item.version or "not installed", item.path) for item in found]
    for name in LIBRARIES:
        try:
            rows.append((f"{name} (library)", version(name), ""))
        except PackageNotFoundError:
            rows.append((f"{name} (library)", "not installed", ""))
    rows.append(_keyring())
    complaints = [item.complaint for item in found if item.complaint]
    _print(rows, complaints, output)
    return 1 if complaints else 0


def _keyring() -> tuple[str, str, str]:
    """Which keyring would be asked for an API key; none is."""
    from dandi_mirror.archive.credentials import KeyringTrouble, backend_name

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
