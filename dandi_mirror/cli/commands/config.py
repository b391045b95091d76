"""``dandi-mirror config``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from dandi_mirror.cli import options, output
from dandi_mirror.workflows import naming

TEMPLATE = """\
# Settings of this mirror.  Every line can be left out; a flag or an environment variable comes first.

# The archive: dandi, dandi-sandbox, linc, linc-staging, ember-dandi, ember-dandi-sandbox, or an API's URL.
# instance = "dandi"

# Which versions to mirror: all, published, latest or draft.
# versions = "all"

# Mirror embargoed Dandisets that you may read, too; needs an API key: see `dandi-mirror login`.
# embargoed = false

# Dandisets at once, 1 to 64.
# jobs = 4

# Read each Dandiset in full once in so many days, a share on every run; 0: never.
# recheck-days = 7

# Which Dandisets `sync --all`, and a sync that names none, take.  A rule is an id (six digits: that Dandiset and no
# other), or a regular expression that is searched for in the id and in the name of the draft, each by itself.
# One of "include" must match if there is any, and none of "exclude" may.
# include = []
# exclude = ["000026", '(?i)\\btest\\b']

# The content of which files to bring after a sync, by git-annex: globs of paths, in which * matches / too.
# get = []
# How much of it: in one run, and for one Dandiset with what is there already; the newest files come first.
# get-budget = "500 GB"
# get-budget-each = "50 GB"

# Further hosts (host or host:port) that content URLs may name, besides S3 and the archive's own.
# content-hosts = []

# A file for node_exporter's textfile collector, written after each sync.
# metrics = "/var/lib/node_exporter/textfile/dandi-mirror.prom"

# Logs of so many runs are kept in .dandi-mirror/log; runs with nothing new have none of their own.
# keep-runs = 100

# Where `dandi-mirror push` publishes the mirror; a table for each place, last in this file.
# [sibling.backup]
# url = "ssh://store.example.org/srv/dandi"  # or /FOLDER, ria+file:///STORE, ria+ssh://HOST/STORE, https://HOST/OWNER/NAME
# type = "forgejo"                           # for https only: github, gitea, forgejo, gogs
# private = true                             # nobody but us can read it: embargoed Dandisets may go there
"""


@click.command("config")
@click.option("--init", "make", is_flag=True, help="Write dandi-mirror.toml, commented, into the mirror.")
@options.mirror
@options.output
@options.log_level
def command(make: bool, mirror_path: Path, output: str) -> None:
    """Show the settings of a mirror and where they come from, or make a file for them."""
    from dandi_mirror.cli.output import print_summary
    from dandi_mirror.config import FILE
    from dandi_mirror.errors import DiskError, UsageError
    from dandi_mirror.workflows.settings import settings_at

    path = mirror_path / FILE
    if make:
        try:
            mirror_path.mkdir(parents=True, exist_ok=True)
            with path.open("x") as file:
                file.write(TEMPLATE)
        except FileExistsError:
            raise UsageError(f"{path} is there already; edit it") from None
        except OSError as error:
            raise DiskError(f"{path}: {error.strerror}") from error
        click.echo(f"wrote {path}")
        return
    settings, sources = settings_at(mirror_path)
    if sources["instance"] == "default" and (own := naming.own_archive(mirror_path)):
        settings, sources["instance"] = settings.with_flags(instance=own), "what this is a mirror of"
    for name, source in sources.items():
        _show(name, getattr(settings, name.replace("-", "_")), source, output)
    if output == "json":
        print_summary()


def _show(name: str, value: object, source: str, form: str) -> None:
    if isinstance(value, dict):
        value = {key: asdict(sibling) for key, sibling in value.items()}
    if form == "json":
        output.print_json({"action": "config", "status": "ok", "name": name, "value": value, "source": source})
        return
    value = str(value).lower() if isinstance(value, bool) else value
    shown = " ".join(value) if isinstance(value, tuple) else "" if value in (None, {}) else str(value)
    click.echo(f"{name:15} {shown or '-':32} ({source})")
