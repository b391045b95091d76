"""``dandi-mirror config``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from dandi_mirror.cli import options, output
from dandi_mirror.workflows import naming


@click.command("config")
@click.option("--init", "make", is_flag=True, help="Write dandi-mirror.toml, commented, into the mirror.")
@options.mirror
@options.output
@options.log_level
def command(make: bool, mirror_path: Path, output: str) -> None:
    """Show the settings of a mirror and where they come from, or make a file for them."""
    from dandi_mirror.cli.output import print_summary
    from dandi_mirror.config import FILE, template
    from dandi_mirror.errors import DiskError, UsageError
    from dandi_mirror.workflows.settings import settings_at

    path = mirror_path / FILE
    if make:
        try:
            mirror_path.mkdir(parents=True, exist_ok=True)
            with path.open("x") as file:
                file.write(template())
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
