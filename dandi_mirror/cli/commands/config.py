"""``dandi-mirror config``: show the settings of a mirror."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from dandi_mirror.cli import options, output
from dandi_mirror.text import human_size, quoted
from dandi_mirror.workflows.access import mirror_archive
from dandi_mirror.workflows.terminal import say


@click.command("config")
@click.option("--init", "make", is_flag=True, help="Write a file dandi-mirror.toml, with comments, into the mirror.")
@options.mirror
@options.output
@options.log_level
def command(make: bool, mirror_path: Path, output: str) -> None:
    """Show the settings of a mirror and where each comes from, or make a file for them.

    \b
    Examples:
      dandi-mirror config -d dandi             show the settings
      dandi-mirror config --init -d dandi      make dandi/dandi-mirror.toml, to edit
    """
    from dandi_mirror.cli.output import print_summary
    from dandi_mirror.config import FILE, attribute, template
    from dandi_mirror.errors import DiskError, UsageError
    from dandi_mirror.workflows.access.current_clone import refuse_clone
    from dandi_mirror.workflows.access.mirror_clone import archive_of_clone
    from dandi_mirror.workflows.access.settings import settings_at

    path = mirror_path / FILE
    if make:
        try:
            mirror_path.mkdir(parents=True, exist_ok=True)
            with path.open("x") as file:
                file.write(template())
        except FileExistsError:
            raise UsageError(f"{path} exists already; edit it") from None
        except OSError as error:
            raise DiskError(f"{path} cannot be written: {error.strerror}") from error
        say(f"wrote {path}")
        return
    if not mirror_path.is_dir():
        how = f"to make it, with a settings file: dandi-mirror config --init -d {quoted(mirror_path)}"
        say(f"{mirror_path} does not exist; these settings would apply there; {how}", err=True)
    refuse_clone(mirror_path)
    settings, sources = settings_at(mirror_path)
    own = mirror_archive.own_archive(mirror_path) or archive_of_clone(mirror_path, [], asked=False)
    if sources["instance"] == "default" and own:
        settings, sources["instance"] = settings.with_flags(instance=own), "the archive of this mirror"
    for name, source in sources.items():
        _show(name, getattr(settings, attribute(name)), source, output)
    if output == "json":
        print_summary()


def _show(name: str, value: object, source: str, form: str) -> None:
    if isinstance(value, dict):
        value = {key: asdict(sibling) for key, sibling in value.items()}
    if form == "json":
        output.print_json({"action": "config", "status": "ok", "name": name, "value": value, "source": source})
        return
    if isinstance(value, dict) and value:
        for key, facts in value.items():
            # an error names the file itself
            shown = facts["error"] or f"{facts['url']:32} ({source})"
            say(f"{f'sibling.{key}':18} {shown}")
        return
    value = str(value).lower() if isinstance(value, bool) else value
    if name == "cache-size" and value is None:
        from dandi_mirror.workflows.serve.block_cache import CACHE_SIZE

        value = human_size(CACHE_SIZE)
    shown = " ".join(value) if isinstance(value, tuple) else "" if value in (None, {}) else str(value)
    say(f"{name:18} {shown or '-':32} ({source})")
