"""The DANDI Archive as DataLad datasets, kept up to date.

The Python interface: ``import dandi_mirror as dm``, then ``dm.Mirror`` and ``dm.Clone``; see ``docs/python.md``.
"""

from __future__ import annotations

TYPE_CHECKING = False  # a type checker takes it for True; to import typing would take most of the time

if TYPE_CHECKING:
    from dandi_mirror.errors import MirrorError
    from dandi_mirror.interface.dandisets import Dandiset
    from dandi_mirror.interface.getting import GetFailed
    from dandi_mirror.interface.mirror import Clone, Mirror
    from dandi_mirror.interface.values import Asset, Assets, Got

__version__ = "0.1.0"
__all__ = ["Asset", "Assets", "Clone", "Dandiset", "GetFailed", "Got", "Mirror", "MirrorError"]

_MODULES = {
    "Asset": "interface.values",
    "Assets": "interface.values",
    "Clone": "interface.mirror",
    "Dandiset": "interface.dandisets",
    "GetFailed": "interface.getting",
    "Got": "interface.values",
    "Mirror": "interface.mirror",
    "MirrorError": "errors",
}
"""Where each public name is; it is imported when somebody uses it, so that ``import dandi_mirror`` takes no time."""


def __getattr__(name: str) -> object:
    """Import a public name."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    """Name what is public."""
    return sorted([*__all__, "__version__"])
