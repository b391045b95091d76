"""The extension of DataLad: two commands; and, where a person switches it on, a faster ``datalad get``.

DataLad imports this package to list the commands of all extensions, so being imported changes nothing.  What
``datalad.extensions.load`` names is switched on.
"""

from __future__ import annotations

command_suite = (
    "DANDI: mirror Dandisets, and get their content",
    [
        ("dandi_mirror.datalad_extension.sync", "DandiSync", "dandi-sync", "dandi_sync"),
        ("dandi_mirror.datalad_extension.get", "DandiGet", "dandi-get", "dandi_get"),
    ],
)
"""What DataLad's entry point ``datalad.extensions`` expects: a description, and module, class and names of commands."""


def _switch_on_if_asked() -> None:
    import datalad

    named = datalad.cfg.get("datalad.extensions.load", default=(), get_all=True)
    if "dandi_mirror" in ((named,) if isinstance(named, str) else named or ()):
        from dandi_mirror.datalad_extension.bulk_get import switch_on

        switch_on()


_switch_on_if_asked()
