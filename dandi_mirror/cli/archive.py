"""``dandi-mirror archive``."""

from __future__ import annotations

import click

from dandi_mirror.cli import options


@click.group("archive")
def command() -> None:
    """Run a DANDI archive on this machine, for trying things out."""


@command.command("serve")
@click.option("-p", "--port", type=click.IntRange(0, 65535), default=0, help="0: any free port.", show_default=True)
@click.option("--empty", is_flag=True, help="Without the demo's Dandisets.")
@options.log_level
def serve_command(port: int, empty: bool) -> None:
    """Serve the embedded archive on 127.0.0.1 until Ctrl-C.

    It holds the demo's Dandisets: 000004 as the real archive had it (without content), and a small one of
    real NWB files.  The stock dandi client works against it: `dandi ls URL/dandiset/000004`.
    """
    from threading import Event

    from dandi_mirror.embedded import Archive, serve

    if empty:
        archive = Archive(instance_name="DANDI")
    else:
        from dandi_mirror.demo.seed import demo_archive

        archive = demo_archive()
    with serve(archive, port=port) as server:
        click.echo(server.api_url)
        click.echo(
            "serving until Ctrl-C; try: " + f"dandi-mirror sync 000004 -d mirror -i {server.api_url}",
            err=True,
        )
        try:
            Event().wait()
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
