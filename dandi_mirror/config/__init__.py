"""The settings of a mirror: ``dandi-mirror.toml`` and environment variables; a command's flags override both."""

from dandi_mirror.config.reading import FILE, read_settings, settings_and_sources
from dandi_mirror.config.siblings import HOSTS, MIRROR, Sibling
from dandi_mirror.config.table import TABLE, VARIABLES, Settings, attribute, template
from dandi_mirror.config.values import Bytes, size

__all__ = [
    "FILE",
    "HOSTS",
    "MIRROR",
    "TABLE",
    "VARIABLES",
    "Bytes",
    "Settings",
    "Sibling",
    "attribute",
    "read_settings",
    "settings_and_sources",
    "size",
    "template",
]
