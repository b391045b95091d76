"""``dandi-mirror login``: keep an API key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dandi_mirror.cli import options, output
from dandi_mirror.workflows.access import current_clone
from dandi_mirror.workflows.names import naming

if TYPE_CHECKING:
    from dandi_mirror.archive.api.client import ArchiveUser


@click.command("login")
@click.option("--check", is_flag=True, help="Only show who you are to the archive, and whether you may upload.")
@options.common
def command(check: bool, mirror_path: Path, instance: str | None, output: str) -> None:
    """Keep your API key for an archive in the keyring, so that you need not type it again.

    Your key is on the web page of the archive, in the menu under your initials.  `login` asks for it without showing
    it, tries it, and keeps it in your keyring, where the dandi client finds it, too.  Without a terminal, put the key
    into DANDI_API_KEY (DANDI_SANDBOX_API_KEY, …), which always comes first.  Exits with 4 if there is no key that the
    archive knows.

    \b
    Examples:
      dandi-mirror login                         type the key
      dandi-mirror login --check -i dandi        show whether the archive accepts it
    """
    from dandi_mirror.workflows import terminal
    from dandi_mirror.workflows.access import tokens

    archive = instance or naming.settings_for(mirror_path, [], "", current_clone.clone_around(mirror_path)).instance
    token, trouble = tokens.find(archive, ask_password=terminal.is_interactive()) if check else (None, "")
    if check and not token:
        raise tokens.nothing(archive, trouble)
    if token:
        _print(archive, tokens.who(archive, token), f"by {token.source}", token.source, output)
        return
    if not terminal.is_interactive():
        raise tokens.nothing(archive, what="there is no terminal to type the key on")
    value, user = tokens.ask(archive)
    backend = tokens.keep(archive, value)
    _print(archive, user, f"the key is kept in {backend}", f"keyring ({backend})", output)
    _warn_of_variable(archive, value)


def _print(instance: str, user: ArchiveUser, how: str, source: str, form: str) -> None:
    from dataclasses import asdict

    from dandi_mirror.archive.instances import instance_name
    from dandi_mirror.workflows.access import tokens

    name = instance_name(instance)
    facts = {"instance": name, **asdict(user), "may_upload": user.approved, "source": source}
    if form == "json":
        output.print_json({"action": "login", "status": "ok", "message": how, **facts})
        output.print_summary()
        return
    may = "may upload" if user.approved else "may not upload before the archive has approved the account"
    output.say(f"{name}  {tokens.shown(user)}, {may}  {how}")


def _warn_of_variable(instance: str, value: str) -> None:
    from dandi_mirror.archive.credentials import from_variable

    found = from_variable(instance)
    if found and found.value != value:
        output.say(f"{found.source} holds another key, which comes first; unset it to use this one", err=True)
