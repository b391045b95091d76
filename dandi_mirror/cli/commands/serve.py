"""``dandi-mirror serve``: answer as an archive does, from the mirror."""

from __future__ import annotations

from pathlib import Path

import click

from dandi_mirror.cli import options


@click.command("serve")
@click.option(
    "-p", "--port", type=click.IntRange(0, 65535), metavar="PORT", default=0, show_default=True,
    help="Listen on this port; 0: any free port.",
)  # fmt: skip
@click.option(
    "--host", metavar="ADDRESS", default="127.0.0.1", show_default=True,
    help="Listen on this address of this machine; any but the default lets other machines ask.",
)  # fmt: skip
@click.option(
    "--name", "names", metavar="HOST[:PORT]", multiple=True,
    help="A further name under which people reach the server, as behind a proxy; may be repeated.",
)  # fmt: skip
@click.option("--offline", is_flag=True, help="Send only content that is here, or in the cache; ask nobody.")
@click.option("--redirect", is_flag=True, help="For content that is not here, redirect to the archive; keep nothing.")
@options.setting(
    "--cache-size", metavar="SIZE",
    help="Keep at most this much content of the archive, such as 500GB; 0: none.  [default: 20 GB]",
)  # fmt: skip
@click.option(
    "--token-file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False),
    help="Show embargoed Dandisets, too, to those who send a token of this file: one a line.",
)  # fmt: skip
@options.mirror
@options.log_level
def command(
    port: int, host: str, names: tuple[str, ...], offline: bool, redirect: bool, cache_size: str | None,
    token_file: Path | None,
    mirror_path: Path,
) -> None:  # fmt: skip
    """Run an archive on this machine that answers from the mirror, until Ctrl-C.

    Programs that know DANDI can read it: `dandi download`, `dandi ls`, pynwb, and dandi-mirror itself.  It only reads.
    It sends content that the mirror has; other content it gets from the archive, block by block, and keeps it in a
    cache.  It serves the Dandisets that were open when they were last synced; others only to those who send a token of
    --token-file.  A browser sees the catalogue (see `dandi-mirror catalogue`).

    \b
    Examples:
      dandi-mirror serve -d dandi --port 8080
      dandi-mirror ls 000004 -i http://127.0.0.1:8080/api      in another terminal
    """
    from dandi_mirror.errors import UsageError
    from dandi_mirror.mirror.state.layout import Mirror
    from dandi_mirror.serve.access import read_tokens
    from dandi_mirror.serve.sending import Elsewhere
    from dandi_mirror.workflows.access.current_clone import no_dandiset
    from dandi_mirror.workflows.names.naming import settings_for
    from dandi_mirror.workflows.serve.serving import is_local, listen, serve, server_origin
    from dandi_mirror.workflows.terminal import say

    if offline and redirect:
        raise UsageError("--offline asks nobody, and --redirect sends people to the archive; give one of them")
    tokens = read_tokens(token_file) if token_file else None
    settings = settings_for(mirror_path, [], cache_size=cache_size)
    mirror = Mirror(mirror_path.absolute())
    if not mirror.dandisets():
        raise no_dandiset(mirror_path, "dandi-mirror ls . lists its files")
    try:
        listening = listen(host, port)
    except OSError as error:
        raise UsageError(f"cannot listen on {host}, port {port}: {error.strerror or error}") from error
    with listening:
        origin = server_origin(listening, names[0] if names else "")
        say(f"{origin}/api")
        say(f"pages for a browser: {origin}/", err=True)
        if not is_local(listening):
            say("other machines can read every open Dandiset here, with its content, without a password", err=True)
        say("serving until Ctrl-C", err=True)
        elsewhere = Elsewhere.OFFLINE if offline else Elsewhere.REDIRECT if redirect else Elsewhere.FETCH
        serve(mirror, settings, listening, names, elsewhere, tokens)
