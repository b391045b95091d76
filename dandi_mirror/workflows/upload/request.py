"""What somebody asked an upload to do."""

from __future__ import annotations

from dataclasses import dataclass

from dandi_mirror.upload.kinds import is_included


@dataclass(frozen=True, slots=True)
class UploadRequest:
    """What somebody asked for."""

    paths: tuple[str, ...] = ()
    """Relative to the top of the work tree; empty: all."""
    sync: bool = False
    allow_deletes: bool = False
    validate: bool = True
    jobs: int = 6
    wait: float = 600.0
    """Seconds for the archive to compute checksums."""
    hosts: frozenset[str] = frozenset()
    """More hosts that may hold content, from the settings."""
    versions: str = ""
    """Which versions to mirror, from the settings; empty: those that the clone has."""
    include: tuple[str, ...] = ()
    """Patterns of files to send although DANDI does not know their kind."""

    def selects(self, path: str) -> bool:
        """Whether somebody asked for a path."""
        return not self.paths or self.names(path)

    def names(self, path: str) -> bool:
        """Whether somebody named a path, or a folder that holds it."""
        return any(path == name or path.startswith(f"{name}/") for name in self.paths)

    def names_itself(self, path: str) -> bool:
        """Whether somebody named exactly this path."""
        return path in self.paths

    def includes(self, path: str) -> bool:
        """Whether a pattern includes a path, whatever its kind."""
        return is_included(path, self.include)
