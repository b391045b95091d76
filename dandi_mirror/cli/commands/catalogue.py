"""``dandi-mirror catalogue``: pages about the Dandisets of a mirror."""

from __future__ import annotations

from pathlib import Path

import click

from dandi_mirror.cli import options


@click.group("catalogue")
def command() -> None:
    """Show the Dandisets of a mirror as web pages, with a search: files that need no server.

    \b
    Example:
      dandi-mirror catalogue build pages -d dandi
    """


@command.command("build")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--title", metavar="TEXT", default="", help="Call the catalogue so.  [default: Mirror of ARCHIVE]")
@click.option(
    "--url", metavar="URL", default="",
    help="Where the catalogue will be on the web: for the addresses in its feed and for search engines.",
)  # fmt: skip
@click.option(
    "--source", metavar="URL|DIR", default="",
    help="Where people clone the Dandisets from: the commands on the pages name it.",
)  # fmt: skip
@click.option(
    "--previews", type=click.Choice(["here", "all"]), is_flag=False, flag_value="here", default=None,
    metavar="[here|all]",
    help="Show what is in the NWB files and Zarrs whose content is in the mirror (here): structure, facts, plots; or in"
    " all: this asks the archive for at most 20 ranges and 3 MB of each that is not here.",
)  # fmt: skip
@click.option("--embargoed", is_flag=True, help="Show embargoed Dandisets, too.")
@options.mirror
@options.log_level
def build_command(
    folder: Path, title: str, url: str, source: str, previews: str | None, embargoed: bool, mirror_path: Path
) -> int:
    """Make a catalogue in the folder DIR, or bring it up to date: only what has changed is written again.

    Open DIR/index.html in a browser, copy DIR to a USB stick, or let any web server show it: the pages load nothing
    from elsewhere.  Each Dandiset has a page with its abstract, files, subjects, versions and citations.  With
    --previews, each NWB file and Zarr is read once, in a process with limits.

    \b
    Examples:
      dandi-mirror catalogue build pages -d dandi
      dandi-mirror catalogue build pages -d dandi --previews all
      dandi-mirror catalogue build /srv/www/dandi -d dandi --url https://data.example.org/dandi/
    """
    from dandi_mirror.cli.progress import show_steps
    from dandi_mirror.mirror.state.layout import Mirror
    from dandi_mirror.text import counted, plain
    from dandi_mirror.workflows.access.current_clone import no_dandiset
    from dandi_mirror.workflows.names.naming import settings_for
    from dandi_mirror.workflows.serve.catalogue import build_catalogue, site_of
    from dandi_mirror.workflows.terminal import say

    mirror = Mirror(mirror_path.absolute())
    if not mirror.dandisets():
        raise no_dandiset(mirror_path, "dandi-mirror ls . lists its files")
    with show_steps("text") as (tell, _):
        site = site_of(mirror, title=title, url=url, source=source, previews=previews or "")
        built = build_catalogue(mirror, folder, tell, site, settings_for(mirror_path, []), embargoed=embargoed)
    for name, why in sorted(built.failed.items()):
        say(f"{name}: its page stays as it was: {plain(why)}", err=True)
    for why in sorted(set(built.unseen.values()))[:3]:
        say(f"no previews of {counted(list(built.unseen.values()).count(why), 'file')} now: {plain(why)}", err=True)
    news = f"{len(built.written):,} written" + (f", {len(built.removed):,} removed" if built.removed else "")
    say(f"{counted(built.dandisets, 'Dandiset')}, {news}: {folder / 'index.html'}")
    return 3 if built.failed or built.unseen else 0
