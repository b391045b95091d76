"""``dandi-mirror config``."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path

import click

from dandi_mirror.cli import options, output

TEMPLATE = """\
# Settings of this mirror.  Every line can be left out; a flag or an environment variable comes first.

# The archive: dandi, dandi-sandbox, linc, linc-staging, ember-dandi, ember-dandi-sandbox, or an API's URL.
# instance = "dandi"

# Which versions to mirror: all, published, latest or draft.
# versions = "all"

# Dandisets at once, 1 to 64.
# jobs = 4

# Read each Dandiset in full once in so many days, a share on every run; 0: never.
# recheck-days = 7

# Further hosts (host or host:port) that content URLs may name, besides S3 and the archive's own.
# content-hosts = []

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
    from dandi_mirror.config import FILE, read_settings
    from dandi_mirror.errors import DiskError, UsageError

    path = mirror_path / FILE
    if make:
        if path.exists():
            raise UsageError(f"{path} is there already; edit it")
        try:
            mirror_path.mkdir(parents=True, exist_ok=True)
            path.write_text(TEMPLATE)
        except OSError as error:
            raise DiskError(f"{path}: {error.strerror}") from error
        click.echo(f"wrote {path}")
        return
    _show(read_settings(mirror_path), path, output)


def _show(settings: object, path: Path, form: str) -> None:
    defaults = {
        "instance": "dandi", "versions": "all", "jobs": 4, "recheck-days": 7, "content-hosts": [], "sibling": {},
    }  # fmt: skip
    records = []
    for field in fields(settings):  # type: ignore[arg-type]
        name = field.name.replace("_", "-")
        value = getattr(settings, field.name)
        if name == "sibling":
            value = {sibling.name: asdict(sibling) for sibling in value.values()}
        unset = value is None or not value
        source = "default" if unset else str(path)
        records.append({"name": name, "value": defaults[name] if unset else value, "source": source})
    for record in records:
        if form == "json":
            output.print_json({"action": "config", "status": "ok", **record})
        else:
            click.echo(f"{record['name']:14} {record['value']!s:24} ({record['source']})")
