"""``dandi-mirror logout``: take an API key out of the keyring."""

from __future__ import annotations

import os
from pathlib import Path

import click

from dandi_mirror.cli import options, output
from dandi_mirror.workflows.access import current_clone
from dandi_mirror.workflows.names import naming


@click.command("logout")
@options.common
def command(mirror_path: Path, instance: str | None, output: str) -> None:
    """Take your API key for an archive out of the keyring; the dandi client does not find it there any more, either.

    The key itself stays valid.  To get another one, use the web page of the archive.

    \b
    Example:
      dandi-mirror logout -i dandi
    """
    from dandi_mirror.archive import credentials, keyrings
    from dandi_mirror.archive.instances import instance_name, token_variable
    from dandi_mirror.errors import CredentialsError
    from dandi_mirror.workflows import terminal
    from dandi_mirror.workflows.access import tokens

    archive = instance or naming.settings_for(mirror_path, [], "", current_clone.clone_around(mirror_path)).instance
    name, variable = instance_name(archive), token_variable(archive)
    try:
        found = credentials.forget(archive, terminal=terminal.is_interactive(), tell=tokens.complain)
    except keyrings.KeyringTrouble as error:
        why = f"the keyring could not be read ({error})"
        raise CredentialsError(f"{why}; remove the key from it with its own program") from None
    said = "the key was taken out of the keyring" if found else "the keyring has no key"
    said += f"; {variable} is still set" if os.environ.get(variable) else ""
    _print(name, "ok" if found else "notneeded", said, output)


def _print(name: str, status: str, said: str, form: str) -> None:
    if form == "json":
        output.print_json({"action": "logout", "status": status, "message": said, "instance": name})
        output.print_summary()
    else:
        output.say(f"{name}  {said}")
