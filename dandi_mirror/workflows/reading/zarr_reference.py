"""Write the reference file of a Zarr."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dandi_mirror.repo.annex.repository import AnnexRepository


def write_reference(text: str, file: Path | None, mirror_path: Path) -> None:
    """Write the reference file of a Zarr to a file, old or new, or to the standard output.

    Raises:
        UsageError: the text names no Zarr.
        NotFoundError, PartError, BadManifest: see :func:`.zarr_reference`.
        DiskError: the file cannot be written.
    """
    from dandi_mirror.archive.names import split_state
    from dandi_mirror.errors import DiskError
    from dandi_mirror.files.opening import open_top, replacement
    from dandi_mirror.mirror.fetch.zarr_reference import zarr_reference
    from dandi_mirror.workflows.terminal import write_pieces

    path, state = split_state(text)
    clone, dandiset, inside, hosts = _find(path, mirror_path)
    clone.read_config()
    pieces = zarr_reference(clone, inside, state, dandiset, mirror_path, hosts)
    if file is None:
        write_pieces(pieces)
        return
    try:
        folder = open_top(file.parent)
        try:
            with replacement(file.name, folder) as out:
                out.writelines(piece.encode() for piece in pieces)
        finally:
            os.close(folder)
    except OSError as error:
        raise DiskError.of(file, error) from error


def _find(text: str, mirror_path: Path) -> tuple[AnnexRepository, str, str, frozenset[str]]:
    """The dataset, its Dandiset, the path in it, and the hosts of the settings."""
    from dandi_mirror.archive.instances import instance_name
    from dandi_mirror.errors import NotFoundError
    from dandi_mirror.mirror.locate.targets import read_targets
    from dandi_mirror.mirror.state.layout import Mirror
    from dandi_mirror.repo.annex.repository import AnnexRepository
    from dandi_mirror.workflows.names.naming import read_file, settings_for

    names = []

    def read(name: str):  # type: ignore[no-untyped-def]
        names.append(read_file(name, mirror_path))
        return names[-1]

    mirror = Mirror(mirror_path.absolute())

    def archive_of(name):  # type: ignore[no-untyped-def]
        return instance_name(settings_for(mirror_path, [name]).instance)

    (target,) = read_targets([text], read, mirror, archive_of)
    hosts = frozenset(settings_for(mirror_path, names).content_hosts)
    dandiset = target.dandiset or Path(target.folder).name
    # a clone that would have to be made is not needed: the mirror itself has the state
    folder = Path(target.source) if target.source else target.folder
    if not folder.is_dir():
        raise NotFoundError(
            f"{mirror_path} does not have {dandiset}; name a mirror that has it: -d DIR; or make one: "
            f"dandi-mirror sync {dandiset} -d DIR"
        )
    return AnnexRepository(folder), dandiset, "".join(target.paths[:1]).strip("/"), hosts
