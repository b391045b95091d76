"""``dandi-mirror archive``: run a DANDI archive on this machine."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from dandi_mirror.cli import options
from dandi_mirror.errors import TemporaryError, UsageError
from dandi_mirror.workflows.terminal import say

if TYPE_CHECKING:
    from dandi_mirror.embedded import Archive
    from dandi_mirror.embedded.bucket.outside import OutsideBucket


@click.group("archive")
def command() -> None:
    """Run a DANDI archive on this machine, to try things out.

    \b
    Example:
      dandi-mirror archive serve --port 8000
    """


@command.command("serve")
@click.option(
    "-p",
    "--port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    default=0,
    help="Listen on this port; 0: any free port.",
    show_default=True,
)
@click.option("--empty", is_flag=True, help="Start without the Dandisets of the demo.")
@click.option(
    "--token", help="The token that lets a client change everything.  [default: a random one, which is printed]"
)
@click.option(
    "--s3",
    metavar="URL",
    help="Keep content on this S3 server; AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY hold its key.",
)
@options.log_level
def serve_command(port: int, empty: bool, token: str | None, s3: str | None) -> None:
    """Serve the embedded archive on 127.0.0.1 until Ctrl-C.

    It holds the Dandisets of the demo: 000004 as the real archive had it, without content, and a small one with NWB
    files.  The dandi client works with it, too: `dandi ls URL/dandiset/000004`.  When the archive ends, all uploads
    are gone, except content on another S3 server.

    \b
    Examples:
      dandi-mirror archive serve --port 8000
      dandi-mirror archive serve --empty --port 8000
    """
    import signal
    from secrets import token_hex
    from threading import Event

    from dandi_mirror.embedded import serve

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    archive = _archive(_outside(s3) if s3 else None, empty)
    user = archive.add_user("owner@example.org", token or token_hex(20), admin=True, name="Olive Owner")
    with ExitStack() as stack:
        try:
            server = stack.enter_context(serve(archive, port=port))
        except OSError as error:
            raise UsageError(
                f"cannot listen on port {port}: {error.strerror or error}; name another one: -p PORT, or 0 for any"
            ) from error
        say(server.api_url)
        to_try = "create --name NAME" if empty else "sync 000888"
        say(f"serving until Ctrl-C; try: dandi-mirror {to_try} -i {server.api_url} -d mirror", err=True)
        if token is None:
            say(f"the token that lets you change it: {user.token}", err=True)
        try:
            Event().wait()
        except KeyboardInterrupt:
            say("stopped", err=True)


def _archive(bucket: OutsideBucket | None, empty: bool) -> Archive:
    from dandi_mirror.demo.seed import demo_archive
    from dandi_mirror.embedded import Archive

    return Archive(instance_name="DANDI", s3=bucket) if empty else demo_archive(s3=bucket)


def _outside(url: str) -> OutsideBucket:
    """Open the bucket on another S3 server.

    Raises:
        UsageError: there is no key in the environment.
        TemporaryError: the server does not answer, or not as an S3 server does.
    """
    from dandi_mirror.embedded.bucket.outside import OutsideBucket, OutsideError
    from dandi_mirror.embedded.bucket.signing import Key

    access, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    if not access or not secret:
        raise UsageError("--s3 needs the key of the server: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    try:
        return OutsideBucket(url, Key(access, secret, os.environ.get("AWS_REGION", "us-east-1")))
    except OutsideError as error:
        raise TemporaryError(str(error)) from error
