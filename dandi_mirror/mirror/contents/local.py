"""The files of a version, read from the mirror or clone on this machine; :mod:`.remote` asks the archive."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from dandi_mirror.archive.instances import may_be
from dandi_mirror.archive.names import Name
from dandi_mirror.mirror.contents.files import Contents, VersionFile, file_of, file_of_finding, file_of_record
from dandi_mirror.mirror.contents.matching import matching_files
from dandi_mirror.mirror.format import record_reader
from dandi_mirror.mirror.format.record_reader import dandiset_record, refusal_of
from dandi_mirror.mirror.format.records import is_asset_path, is_part, record_part_of
from dandi_mirror.mirror.locate.clones import clone_at
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.zarr.gitmodules import read_gitmodules
from dandi_mirror.model import DRAFT, FindingKind, is_version_id
from dandi_mirror.paths import REFUSED_FOLDER
from dandi_mirror.repo.annex.repository import copies
from dandi_mirror.repo.git.dataset import Dataset, Tree
from dandi_mirror.repo.git.reader import ObjectReader
from dandi_mirror.repo.git.stream import FILE, GITLINK

_UNHELD = {FindingKind.PENDING, FindingKind.ZARR}


def local_contents(name: Name, path: Path, folder: Path | None = None) -> Contents | None:
    """Return the files that a name identifies, from the clone at ``folder``, or the mirror or clone at ``path``.

    None if the Dandiset or the version is not there, or if the dataset comes from another archive.  Of a name inside a
    Zarr, the Zarr is returned; :mod:`.local_zarrs` has its entries.

    Raises:
        NotFoundError: the version is there, but has no such file.
    """
    dataset = local_dataset(name, path, folder)
    version, commit = _version(dataset, name.version) if dataset else ("", "")
    if not dataset or not commit:
        return None
    tree = dataset.tree(commit)
    with dataset.reader() as reader:
        (content,) = reader.read([f"{commit}:dandiset.yaml"])
        record = dandiset_record(content)
        if not _is_of(name.instance, record):
            return None
        files = [file_of_record(record) for record in record_reader.records(reader, _parts(name, tree))]
        refused = {
            path: oid
            for path, (_, oid) in tree.items()
            if path.startswith(f"{REFUSED_FOLDER}/") and path.endswith(".json")
        }
        kept = zip(refused, reader.read(list(refused.values()), instead=b""), strict=True)
        files += [file_of(refusal_of(*facts)) for facts in kept]
        files = list(_with_states(files, reader, commit, tree))
    files += _reported(dataset, path, name, version, {file.path for file in files})
    if name.entry and not any(file.is_zarr for file in files if file.path in name.chosen([file.path])):
        name = replace(name, path=f"{name.path}/{name.entry}", entry="")  # a folder that is called like a Zarr
    files = matching_files(name, version, files, filter(is_asset_path, tree), None if path == Path.cwd() else path)
    title = str(record.get("name", ""))
    return Contents(str(name.dandiset), version, title, _located(dataset, tree, files), dataset, content or b"")


def _with_states(files: Iterable[VersionFile], reader: ObjectReader, commit: str, tree: Tree) -> Iterator[VersionFile]:
    """Yield the files; of each Zarr with the id and the state that the commit has."""
    modules = read_gitmodules(next(reader.read([f"{commit}:.gitmodules"], instead=b"")) or b"")
    for file in files:
        module = modules.get(file.path) if file.is_zarr else None
        known = module if module and tree.get(file.path, (b"", ""))[0] == GITLINK else None
        yield replace(file, zarr=known.zarr_id).in_state(known.checksum) if known else file


def _version(dataset: Dataset, wanted: str | None) -> tuple[str, str]:
    """Return a version (default: the newest published one, else the draft) and its commit, empty if it is not here."""
    commits = {tag: commit for tag, commit in dataset.unmerged(None).items() if is_version_id(tag)}
    draft = dataset.ref("refs/heads/draft") or dataset.ref("refs/remotes/origin/draft") or ""
    version = wanted or next(reversed(commits), DRAFT)
    return version, commits.get(version, draft if version == DRAFT else "")


def _parts(name: Name, tree: Tree) -> list[str]:
    """Return the object ids of the files of records that a name needs; a folder does not need all of them."""
    parts = {path: oid for path, (_, oid) in tree.items() if is_part(path)}
    if name.whole or name.asset:
        return list(parts.values())
    needed = {record_part_of(path, parts) for path in name.chosen(filter(is_asset_path, tree))}
    return [oid for path, oid in parts.items() if path in needed]


def _reported(dataset: Dataset, path: Path, name: Name, version: str, held: Container[str]) -> Iterator[VersionFile]:
    """Yield the files that the last sync reported and could not put into the tree; only a mirror remembers them."""
    memory = Mirror(path).index.get(str(name.dandiset)) if dataset.path.parent == path else None
    for finding in memory.findings if memory else ():
        if finding.version == version and finding.path and finding.path not in held and finding.kind in _UNHELD:
            yield file_of_finding(finding)


def local_dataset(name: Name, path: Path, folder: Path | None) -> Dataset | None:
    """Return the repository on this machine that holds a name's Dandiset; None if there is none."""
    if folder:
        return Dataset(folder)
    if not name.dandiset:
        return None
    if (dataset := Mirror(path).dataset(name.dandiset)).exists():
        return dataset
    clone = clone_at(str(path))
    return Dataset(clone.folder) if clone and clone.name.dandiset == name.dandiset else None


def _is_of(instance: str | None, record: Mapping[str, object]) -> bool:
    """Whether a Dandiset's record may come from an archive, judged by the record alone."""
    return may_be(instance, str(record.get("identifier", "")).partition(":")[0])


def _located(dataset: Dataset, tree: Tree, files: Iterable[VersionFile]) -> list[VersionFile]:
    """Return the files, each with the file or git object on this machine that has its content."""
    objects = dataset.git_dir / "annex" / "objects"
    located = []
    for file in files:
        mode, oid = tree.get(file.path, (b"", ""))
        if file.state:
            pass
        elif mode == FILE:
            file = replace(file, oid=oid)
        elif key := file.key:
            # on a disk without symbolic links, or one that folds case, git-annex uses the second place
            content = next((place for place in copies(objects, key) if place.exists()), None)
            file = replace(file, content=content) if content else file
        located.append(file)
    return located
