"""Options that several commands share; they stand after the command."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

mirror = click.option(
    "-d", "--mirror", "mirror_path", metavar="DIR", type=click.Path(path_type=Path, file_okay=False),
    default=Path(), envvar="DANDI_MIRROR", show_default=".", show_envvar=True, help="The mirror's folder.",
)  # fmt: skip


def setting(*names: str, key: str = "", **how: Any) -> Callable[[Command], Command]:
    """An option of the setting that is called as it is (or ``key``); its help names the environment variable."""
    from dandi_mirror.config import VARIABLES

    how["help"] += f"  [env: {VARIABLES[key or names[-1].removeprefix('--')]}]"
    return click.option(*names, **how)


instance = setting(
    "-i", "--dandi-instance", "instance", metavar="NAME|URL",
    help="The archive: a name the dandi client knows, or an API's URL.  [default: dandi]",
)  # fmt: skip
output = click.option(
    "-f", "--format", "output", type=click.Choice(["text", "json"]), default="text", show_default=True,
    help="What to print: lines for people, or JSON Lines with DataLad's keys.",
)  # fmt: skip
form = click.option(
    "-f", "--format", "form", type=click.Choice(["text", "markdown", "json"]), default="text", show_default=True,
    help="What to print: lines for people, Markdown, or JSON Lines with DataLad's keys.",
)  # fmt: skip
jobs = setting("-J", "--jobs", type=click.IntRange(1, 64), metavar="N", help="Dandisets at once.  [default: 4]")
recheck_days = setting(
    "--recheck-days", type=click.IntRange(0, 3650), metavar="N",
    help="Read each Dandiset in full once in N days, a share on every run; 0: never.  [default: 7]",
)  # fmt: skip
versions = setting(
    "--versions", type=click.Choice(["all", "published", "latest", "draft"]),
    help="Which versions to mirror.  [default: all]",
)  # fmt: skip
embargoed = setting(
    "--embargoed", is_flag=True, default=None,
    help="Embargoed Dandisets that you may read, too; needs an API key, see dandi-mirror login.",
)  # fmt: skip
include = setting(
    "--include", metavar="RULE", multiple=True,
    help="Where no ID is given, take only these: an id, or a regular expression found in id or name.",
)  # fmt: skip
exclude = setting(
    "--exclude", metavar="RULE", multiple=True, help="Where no ID is given, leave these out; comes before --include."
)
get = setting(
    "--get", metavar="GLOB", multiple=True,
    help="After the sync, bring the content of files whose path matches, by git-annex; newest first.",
)  # fmt: skip
get_budget = setting(
    "--get-budget", metavar="SIZE", help="At most so much of it in this run, as 500GB.  [default: no limit]"
)
get_budget_each = setting(
    "--get-budget-each", metavar="SIZE", help="At most so much for one Dandiset, with what is there already."
)
metrics = setting("--metrics", metavar="FILE", help="Write how the run went for Prometheus; its name ends in .prom.")


def _set_log_level(context: click.Context, parameter: click.Parameter, level: str) -> None:
    if not context.resilient_parsing:
        from dandi_mirror.cli.logging_setup import set_up

        set_up(level)


log_level = click.option(
    "-l", "--log-level", type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    default="warning", show_default=True, is_eager=True, expose_value=False, callback=_set_log_level,
    help="How much to tell on stderr; info: each step; debug: each request, git command and traceback too.",
)  # fmt: skip


_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(context: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    """A duration as it is typed: ``90``, ``90s``, ``50m``, ``2h``, ``1d``."""
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smhd]?)", text.strip())
    if not found:
        raise click.BadParameter(f"{text!r} is no duration; write 90s, 50m, 2h or 1d")
    return float(found[1]) * _UNITS[found[2]]


def complete_dandisets(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """The ids of the mirrored Dandisets that begin so; the archive is not asked."""
    from dandi_mirror.mirror.state.layout import Mirror

    path = context.params.get("mirror_path") or os.environ.get("DANDI_MIRROR") or "."
    return [name for name in Mirror(Path(path)).dandisets() if name.startswith(begun)]


def complete_versions(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """The ids of the mirrored Dandisets that begin so; behind an ``@``, the versions and the draft."""
    dandiset, at, version = begun.partition("@")
    if not at:
        return complete_dandisets(context, parameter, begun)
    return [f"{dandiset}@{name}" for name in _versions(context, dandiset) if name.startswith(version)]


def complete_range(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """The same for ``ID@A..B``."""
    old, dots, new = begun.partition("..")
    if not dots:
        return complete_versions(context, parameter, begun)
    dandiset, _, _ = old.partition("@")
    return [f"{old}..{name}" for name in _versions(context, dandiset) if name.startswith(new)]


def _versions(context: click.Context, dandiset: str) -> list[str]:
    """What there is of a mirrored Dandiset: its tags and its branch; read from files, no git is started."""
    from dandi_mirror.mirror.state.layout import Mirror
    from dandi_mirror.model import DRAFT, is_dandiset_id, is_version_id

    path = context.params.get("mirror_path") or os.environ.get("DANDI_MIRROR") or "."
    if not is_dandiset_id(dandiset) or Mirror(Path(path)).is_strange(dandiset):
        return []
    refs = Mirror(Path(path)).dataset(dandiset).refs_in_files()
    names = {ref.rpartition("/")[2] for ref in refs if ref.startswith("refs/tags/") or ref == f"refs/heads/{DRAFT}"}
    return sorted(name for name in names if is_version_id(name) or name == DRAFT)


def complete_operators(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """The operators of a search that begin so."""
    from dandi_mirror.mirror.search.query import OPERATORS

    return [f"{name}:" for name in OPERATORS if name.startswith(begun)] if begun else []
