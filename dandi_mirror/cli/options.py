"""The options that several commands share, each with one help text."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from dandi_mirror.archive.content import JOBS
from dandi_mirror.workflows.hints import name_the_mirror

Command = TypeVar("Command", bound=Callable[..., Any])

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(context: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    """Read a duration, in seconds: ``90``, ``90s``, ``50m``, ``2h`` or ``1d``."""
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smhd]?)", text.strip())
    if not found:
        raise click.BadParameter(f"{text!r} is not a duration; write 90s, 50m, 2h or 1d")
    return float(found[1]) * _UNITS[found[2]]


def _named(context: click.Context, parameter: click.Parameter, path: Path) -> Path:
    """Note for the hints whether somebody typed -d: a variable counts for the next command, too."""
    typed = context.get_parameter_source("mirror_path") is click.core.ParameterSource.COMMANDLINE
    name_the_mirror(path if typed else None)
    return path


mirror = click.option(
    "-d", "--mirror", "mirror_path", metavar="DIR", type=click.Path(path_type=Path, file_okay=False),
    default=Path(), envvar="DANDI_MIRROR", callback=_named,
    help="The folder of the mirror, or a clone where a clone will do.  [env: DANDI_MIRROR]  [default: .]",
)  # fmt: skip


def setting(*names: str, key: str = "", **how: Any) -> Callable[[Command], Command]:
    """Make the option of a setting with the same name (or ``key``); its help names the environment variable."""
    from dandi_mirror.config import VARIABLES

    text, default, value = how["help"].partition("  [default: ")
    how["help"] = f"{text}  [env: {VARIABLES[key or names[-1].removeprefix('--')]}]{default}{value}"
    return click.option(*names, **how)


instance = setting(
    "-i", "--dandi-instance", "instance", metavar="NAME|URL",
    help="The archive: a name that the dandi client knows, or the URL of an API.  [default: that of the mirror, "
    "else dandi]",
)  # fmt: skip
_output: dict[str, Any] = {"type": click.Choice(["text", "json"]), "default": "text", "show_default": True,
                           "help": "Print lines for people, or JSON Lines with DataLad's keys."}  # fmt: skip
output = click.option("-f", "--format", "output", **_output)
output_without_f = click.option("--format", "output", **_output)
"""For `organize`, whose -f is that of `dandi organize`."""
form = click.option(
    "-f", "--format", "form", type=click.Choice(["text", "markdown", "json"]), default="text", show_default=True,
    help="Print lines for people, Markdown, or JSON Lines with DataLad's keys.",
)  # fmt: skip
jobs = setting(
    "-J", "--jobs", type=click.IntRange(1, 64), metavar="N",
    help="Work on at most N Dandisets at the same time.  [default: 4]",
)  # fmt: skip
dry_run = click.option(
    "-n", "--dry-run", is_flag=True, help="Show what the command would do; transfer and write nothing."
)


def connections(most: int = 256, default: int = JOBS) -> Callable[[Command], Command]:
    """Make the option for how many connections a command may open at the same time."""
    return click.option(
        "-J", "--jobs", type=click.IntRange(1, most), metavar="N", default=default, show_default=True,
        help="Open at most N connections at the same time.",
    )  # fmt: skip


recheck_days = setting(
    "--recheck-days", type=click.IntRange(0, 3650), metavar="N",
    help="Read each Dandiset in full once in N days, a share of them on every run; 0: never.  [default: 7]",
)  # fmt: skip
versions = setting(
    "--versions", type=click.Choice(["all", "published", "latest", "draft"]),
    help="Which versions to mirror.  [default: all]",
)  # fmt: skip
embargoed = setting(
    "--embargoed", is_flag=True, default=None,
    help="Mirror the embargoed Dandisets that you may read, too; needs an API key (see `dandi-mirror login`).",
)  # fmt: skip
include = setting(
    "--include", metavar="RULE", multiple=True,
    help="Without an ID: take only these Dandisets.  RULE is an id, or a regular expression to find in id or name.",
)  # fmt: skip
exclude = setting(
    "--exclude", metavar="RULE", multiple=True,
    help="Without an ID: leave these Dandisets out, even if --include takes them.",
)  # fmt: skip
get = setting(
    "--get", metavar="GLOB", multiple=True,
    help="After the sync, get the content of files whose path matches, by git-annex, the newest first.",
)  # fmt: skip
get_budget = setting("--get-budget", metavar="SIZE", help="Get at most this much content in this run, such as 500GB.")
get_budget_each = setting(
    "--get-budget-each", metavar="SIZE",
    help="Keep at most this much content of one Dandiset, with what is there already.",
)  # fmt: skip
metrics = setting(
    "--metrics", metavar="FILE", help="Write metrics of the run for Prometheus; the name of the file ends in .prom."
)

readers = click.option(
    "-J", "--jobs", type=click.IntRange(1, 64), metavar="N",
    help="Read at most N files at the same time, each in its own process.  [default: one for each processor, "
    "at most 4]",
)  # fmt: skip
file_time = click.option(
    "--file-time", metavar="TIME", callback=seconds, default="10m", show_default=True,
    help="Give up on a file that takes longer than this to read (90s, 10m).",
)  # fmt: skip
file_memory = click.option(
    "--file-memory", metavar="SIZE", default="4G", show_default=True,
    help="Give up on a file that takes more memory than this to read.",
)  # fmt: skip


def wait(what: str) -> Callable[[Command], Command]:
    """Make the option for how long to wait for the archive to do something."""
    return click.option(
        "--wait", metavar="TIME", callback=seconds, default="10m", show_default=True,
        help=f"How long (90s, 10m, 2h) to wait for the archive to {what}.",
    )  # fmt: skip


def _set_log_level(context: click.Context, parameter: click.Parameter, level: str) -> None:
    if not context.resilient_parsing:
        from dandi_mirror.cli.logging_setup import log_to_stderr

        log_to_stderr(level)


log_level = click.option(
    "-l", "--log-level", type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    default="warning", show_default=True, is_eager=True, expose_value=False, callback=_set_log_level,
    help="How much to log on stderr.  info: each step; debug: each request, git command and traceback, too.",
)  # fmt: skip


def common(command: Command) -> Command:
    """Add the options of every command that works with a mirror and its archive: -d, -i, -f and -l, last."""
    for option in (log_level, output, instance, mirror):
        command = option(command)
    return command


def complete_dandisets(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """Complete the id of a mirrored Dandiset, without asking the archive."""
    from dandi_mirror.mirror.state.layout import Mirror

    path = context.params.get("mirror_path") or os.environ.get("DANDI_MIRROR") or "."
    return [name for name in Mirror(Path(path)).dandisets() if name.startswith(begun)]


def complete_versions(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """Complete the id of a mirrored Dandiset, and after an ``@`` one of its versions."""
    dandiset, at, version = begun.partition("@")
    if not at:
        return complete_dandisets(context, parameter, begun)
    return [f"{dandiset}@{name}" for name in _versions(context, dandiset) if name.startswith(version)]


def complete_range(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """Complete ``ID@A..B``."""
    old, dots, new = begun.partition("..")
    if not dots:
        return complete_versions(context, parameter, begun)
    dandiset, _, _ = old.partition("@")
    return [f"{old}..{name}" for name in _versions(context, dandiset) if name.startswith(new)]


def _versions(context: click.Context, dandiset: str) -> list[str]:
    """List the versions of a mirrored Dandiset, from git's files: no git is started."""
    from dandi_mirror.mirror.state.layout import Mirror
    from dandi_mirror.model import DRAFT, is_dandiset_id, is_version_id

    path = context.params.get("mirror_path") or os.environ.get("DANDI_MIRROR") or "."
    if not is_dandiset_id(dandiset) or Mirror(Path(path)).is_strange(dandiset):
        return []
    refs = Mirror(Path(path)).dataset(dandiset).refs_in_files()
    names = {ref.rpartition("/")[2] for ref in refs if ref.startswith("refs/tags/") or ref == f"refs/heads/{DRAFT}"}
    return sorted(name for name in names if is_version_id(name) or name == DRAFT)


def complete_operators(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """Complete the operator of a search."""
    from dandi_mirror.mirror.search.query import OPERATORS

    return [f"{name}:" for name in OPERATORS if name.startswith(begun)] if begun else []


def complete_mirrors(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """Complete the name of another mirror in the settings."""
    from dandi_mirror.config import MIRROR
    from dandi_mirror.errors import MirrorError
    from dandi_mirror.workflows.access.settings import settings_at

    path = context.params.get("mirror_path") or os.environ.get("DANDI_MIRROR") or "."
    try:
        found = settings_at(Path(path))[0].sibling
    except MirrorError:
        return []
    return [name for name, sibling in found.items() if sibling.type == MIRROR and name.startswith(begun)]
