"""The table of all settings: name, type, default, range, environment variable, help.

Reading, error messages, ``config --init``, the manual page and the check of the docs come from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, Literal, get_args, get_type_hints

from dandi_mirror.config.siblings import Sibling
from dandi_mirror.config.values import Bytes, Setting, check_value, host, regular_expression


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings in force, without a command's flags."""

    instance: Annotated[
        str,
        Setting(
            "DANDI_INSTANCE",
            "The archive: dandi, dandi-sandbox, linc, linc-staging, ember-dandi, ember-dandi-sandbox, or an API's URL.",
        ),
    ] = "dandi"
    versions: Annotated[
        Literal["all", "published", "latest", "draft"],
        Setting("DANDI_MIRROR_VERSIONS", "Which versions to mirror: all, published, latest or draft."),
    ] = "all"
    embargoed: Annotated[
        bool,
        Setting(
            "DANDI_MIRROR_EMBARGOED",
            "Mirror embargoed Dandisets that you may read, too; needs an API key: see `dandi-mirror login`.",
        ),
    ] = False
    jobs: Annotated[int, Setting("DANDI_MIRROR_JOBS", "Dandisets at once, 1 to 64.", least=1, most=64)] = 4
    recheck_days: Annotated[
        int,
        Setting(
            "DANDI_MIRROR_RECHECK_DAYS",
            "Read each Dandiset in full once in so many days, a share on every run; 0: never.",
            most=3650,
        ),
    ] = 7
    work_tree: Annotated[
        bool,
        Setting(
            "DANDI_MIRROR_WORK_TREE",
            "Check out the files of new Dandisets; false: their repositories are complete, but without the links to\n"
            "the data, which is enough to serve clones.",
        ),
    ] = True
    include: Annotated[
        tuple[str, ...],
        Setting(
            "DANDI_MIRROR_INCLUDE",
            "Which Dandisets `sync --all`, and a sync that names none, take.  "
            "A rule is an id (six digits: that Dandiset and no\n"
            "other), or a regular expression that is searched for in the id and in the name of the draft, "
            'each by itself.\nOne of "include" must match if there is any, and none of "exclude" may.',
            each=regular_expression,
        ),
    ] = ()
    exclude: Annotated[
        tuple[str, ...],
        Setting("DANDI_MIRROR_EXCLUDE", example=r"""["000026", '(?i)\btest\b']""", each=regular_expression),
    ] = ()
    get: Annotated[
        tuple[str, ...],
        Setting(
            "DANDI_MIRROR_GET",
            "Which files' content to download after a sync, by git-annex: globs of paths, in which * matches / too.",
        ),
    ] = ()
    get_budget: Annotated[
        Bytes | None,
        Setting(
            "DANDI_MIRROR_GET_BUDGET",
            "How much of it: in one run, and for one Dandiset with what is there already; the newest files come first.",
            '"500 GB"',
        ),
    ] = None
    get_budget_each: Annotated[Bytes | None, Setting("DANDI_MIRROR_GET_BUDGET_EACH", example='"50 GB"')] = None
    content_hosts: Annotated[
        tuple[str, ...],
        Setting(
            "DANDI_MIRROR_CONTENT_HOSTS",
            "Further hosts (host or host:port) that content URLs may name, besides S3 and the archive's own.",
            each=host,
        ),
    ] = ()
    metrics: Annotated[
        str,
        Setting(
            "DANDI_MIRROR_METRICS",
            "A file for node_exporter's textfile collector, written after each sync.",
            '"/var/lib/node_exporter/textfile/dandi-mirror.prom"',
        ),
    ] = ""
    keep_runs: Annotated[
        int,
        Setting(
            "DANDI_MIRROR_KEEP_RUNS",
            "Keep the logs of so many runs in .dandi-mirror/log; runs with nothing new write none.",
            least=1,
            most=100_000,
        ),
    ] = 100
    rescue: Annotated[
        bool,
        Setting(
            "DANDI_MIRROR_RESCUE",
            "After a sync, get content that no version names any more, before the archive removes it (after about 30\n"
            "days); and how much of it in one run.",
        ),
    ] = False
    rescue_budget: Annotated[Bytes | None, Setting("DANDI_MIRROR_RESCUE_BUDGET", example='"500 GB"')] = None
    prove_days: Annotated[
        int,
        Setting(
            "DANDI_MIRROR_PROVE_DAYS",
            "What another mirror says it has counts as a copy for so many days after `challenge` has proved it.",
            least=1,
            most=3650,
        ),
    ] = 30
    cache_size: Annotated[
        Bytes | None,
        Setting(
            "DANDI_MIRROR_CACHE_SIZE",
            "How much content of the archive `dandi-mirror serve` keeps in .dandi-mirror/cache at most; 0: none;\n"
            "without this line 20 GB.",
            '"20 GB"',
        ),
    ] = None
    zarr_repositories: Annotated[
        Literal["none", "small", "all"],
        Setting(
            "DANDI_MIRROR_ZARR_REPOSITORIES",
            "Which Zarrs get a git repository in a sync: none, small (up to so many entries) or all; the others\n"
            "get theirs when somebody needs it.",
            section="zarr",
        ),
    ] = "small"
    zarr_small_entries: Annotated[int, Setting("DANDI_MIRROR_ZARR_SMALL_ENTRIES", section="zarr", most=10_000_000)] = (
        1000
    )
    sibling: Annotated[
        Mapping[str, Sibling],
        Setting(
            help="Where `dandi-mirror push` publishes the mirror, and other mirrors; a table each, last in this file.",
            example="""\
[sibling.backup]
url = "ssh://store.example.org/srv/dandi"  # or /FOLDER, ria+file:///STORE, ria+ssh://HOST/STORE, https://HOST/OWNER/NAME
type = "forgejo"                           # for https only: github, gitea, forgejo, gogs
private = true                             # nobody but us can read it: embargoed Dandisets may go there
[sibling.oxford]
url = "https://mirror.example.org/dandi"
type = "mirror"                            # another mirror: nothing is pushed there, its copies count
""",
        ),
    ] = field(default_factory=dict)

    def with_flags(self, **flags: object) -> Settings:
        """These settings, overridden by each flag that is not None or empty.

        Raises:
            UsageError: a value of the wrong type or out of range.
        """
        given: dict[str, Any] = {}
        for name, value in flags.items():
            if value not in (None, ()):
                key = name.replace("_", "-")
                given[name] = check_setting(f"--{key}", key, value)
        return replace(self, **given)


_HINTS = get_type_hints(Settings, include_extras=True)


def _name(attribute: str) -> str:
    """The name in the file of a setting of :class:`Settings`: ``content-hosts``, ``zarr.small-entries``."""
    section = get_args(_HINTS[attribute])[1].section
    name = attribute.removeprefix(f"{section}_").replace("_", "-")
    return f"{section}.{name}" if section else name


def attribute(name: str) -> str:
    """The attribute of :class:`Settings` for a name in the file."""
    return name.replace(".", "_").replace("-", "_")


TABLE: Mapping[str, tuple[Any, Setting]] = {
    _name(each.name): (get_args(_HINTS[each.name])[0], get_args(_HINTS[each.name])[1]) for each in fields(Settings)
}
"""Type and facts of each setting, by its name in the file."""
SECTIONS = frozenset(setting.section for _, setting in TABLE.values() if setting.section)
"""The tables of the file, besides those of siblings."""
VARIABLES: Mapping[str, str] = {name: setting.variable for name, (_, setting) in TABLE.items() if setting.variable}
"""The environment variable of each setting, by its name in the file."""


def check_setting(where: str, key: str, value: object) -> object:
    """A value of the setting ``key``; ``where`` it stands begins the message of an error.

    Raises:
        UsageError: the value is of the wrong type or out of range.
    """
    return check_value(where, *TABLE[key], value)


def template() -> str:
    """The text of a new settings file: each setting with its help, as a comment."""
    lines = ["# Settings of this mirror.  Every line can be left out; a flag or an environment variable comes first."]
    section = ""
    for each in fields(Settings):
        name = _name(each.name)
        setting = TABLE[name][1]
        if setting.help:
            lines += ["", *setting.help.split("\n")]
        if setting.section != section:
            section = setting.section
            lines += [f"[{section}]"] if section else []
        if each.name == "sibling":
            lines += setting.example.splitlines()
        else:
            lines.append(f"{name.rpartition('.')[2]} = {setting.example or _toml(each.default)}")
    return "\n".join(f"# {line}" if line and not line.startswith("# ") else line for line in lines) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return "[]"
    return str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else str(value)
