"""What a version holds, file by file, as a mirror or a clone here has it; as the archive has it: ``asked``."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import urlencode

from dandi_mirror.archive.instances import may_be
from dandi_mirror.archive.names import Name
from dandi_mirror.errors import NotFoundError
from dandi_mirror.mirror.format import record_reader
from dandi_mirror.mirror.format.admission import Refusal
from dandi_mirror.mirror.format.annex_metadata import annex_fields
from dandi_mirror.mirror.format.record_reader import Record, dandiset_record, refusal_of
from dandi_mirror.mirror.format.records import is_asset_path, is_part, part_of
from dandi_mirror.mirror.locate.clones import clone_at
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.model import DRAFT, Finding, Kind, is_asset_id, is_version_id
from dandi_mirror.repo.annex.keys import annex_key, hash_dir_lower, hash_dir_mixed
from dandi_mirror.repo.annex.logs import present, url_path
from dandi_mirror.repo.git.dataset import Dataset, Tree
from dandi_mirror.repo.git.stream import FILE

REFUSED = ".dandi/refused/"
_UNHELD = {Kind.PENDING, Kind.ZARR}


@dataclass(frozen=True, slots=True)
class File:
    """One asset of a version."""

    path: str
    """As the archive gives it: print it escaped."""
    size: int | None
    """Bytes; None where it is not known."""
    asset_id: str
    sha256: str = ""
    subjects: tuple[str, ...] = ()
    session: str = ""
    time: str = ""
    """When the content was last changed before it was uploaded, as the archive spells it."""
    state: Kind | None = None
    """Why it is in no mirror's tree, if it is not."""
    reason: str = ""
    content: Path | None = None
    """Where its content is on this machine."""
    oid: str = ""
    """Of the git object that holds its content, if git does."""
    url: str | None = None
    """Where its content is, as the archive says: at S3."""
    zarr: str = ""
    """The id of the Zarr that it is, or is in."""
    entry: str = ""
    """Its path in that Zarr."""
    md5: str = ""
    """Of a file in a Zarr, for which there is no SHA-256."""

    @property
    def digest(self) -> str:
        """What its bytes are verified by; empty where that is not known."""
        return self.sha256 or self.md5

    @property
    def key(self) -> str:
        """Its git-annex key; empty where it has none."""
        known = self.size is not None and self.sha256 and not self.state
        return annex_key(self.size or 0, self.sha256, self.path) if known else ""

    @property
    def here(self) -> bool:
        """Whether its content is on this machine."""
        return bool(self.content or self.oid)


@dataclass(frozen=True, slots=True)
class Contents:
    """What a name means of a version."""

    dandiset: str
    """Empty where an asset was named by its id alone."""
    version: str
    title: str
    files: list[File]
    """Sorted by path."""
    dataset: Dataset | None = None
    """Where it was read; None: it is from the archive."""
    record: bytes = b""
    """The Dandiset's, as the dataset has it; empty where it is from the archive."""


def contents_here(name: Name, path: Path, folder: Path | None = None) -> Contents | None:
    """What a name means, from the clone at ``folder``, or the mirror or clone at ``path``.

    None where its Dandiset or its version is not there, or is of another archive, as far as one can tell; and of what
    is in a Zarr, which no mirror holds.

    Raises:
        NotFoundError: the version is there, and has no such file.
    """
    dataset = None if name.entry else dataset_here(name, path, folder)
    version, commit = _version(dataset, name.version) if dataset else ("", "")
    if not dataset or not commit:
        return None
    tree = dataset.tree(commit)
    with dataset.reader() as reader:
        (content,) = reader.read([f"{commit}:dandiset.yaml"])
        record = dandiset_record(content)
        if not _is_of(name.instance, record):
            return None
        files = [file_of(record) for record in record_reader.records(reader, _parts(name, tree))]
        refused = {path: oid for path, (_, oid) in tree.items() if path.startswith(REFUSED) and path.endswith(".json")}
        kept = zip(refused, reader.read(list(refused.values()), instead=b""), strict=True)
        files += [file_of(refusal_of(*facts)) for facts in kept]
    files += _waiting(dataset, path, name, version, {file.path for file in files})
    files = chosen(name, version, files, filter(is_asset_path, tree))
    title = str(record.get("name", ""))
    return Contents(str(name.dandiset), version, title, _placed(dataset, tree, files), dataset, content or b"")


def _version(dataset: Dataset, wanted: str | None) -> tuple[str, str]:
    """The version that is wanted, or the newest published one, else the draft; and its commit, empty if not there."""
    commits = {tag: commit for tag, commit in dataset.unmerged(None).items() if is_version_id(tag)}
    draft = dataset.ref("refs/heads/draft") or dataset.ref("refs/remotes/origin/draft") or ""
    version = wanted or next(reversed(commits), DRAFT)
    return version, commits.get(version, draft if version == DRAFT else "")


def _parts(name: Name, tree: Tree) -> list[str]:
    """The parts of the records in which a name's files stand: of a folder, not all of them."""
    parts = {path: oid for path, (_, oid) in tree.items() if is_part(path)}
    if name.whole or name.asset:
        return list(parts.values())
    needed = {part_of(path, parts) for path in name.chosen(filter(is_asset_path, tree))}
    return [oid for path, oid in parts.items() if path in needed]


def _waiting(dataset: Dataset, path: Path, name: Name, version: str, held: Container[str]) -> Iterator[File]:
    """What the last sync named and the tree does not hold; known in a mirror only."""
    memory = Mirror(path).index.get(str(name.dandiset)) if dataset.path.parent == path else None
    for finding in memory.findings if memory else ():
        if finding.version == version and finding.path and finding.path not in held and finding.kind in _UNHELD:
            yield found_file(finding)


def urls(contents: Contents, api_url: str) -> dict[str, tuple[str, ...]]:
    """Where each file's content can be had, by its path: at S3 if that is known, then from the API at ``api_url``."""
    found: dict[str, tuple[str, ...]] = {}
    logs = _url_logs(contents)
    for file in contents.files:
        live = logs.get(file.path, [file.url] if file.url else [])
        own = f"/assets/{file.asset_id}/"
        first = [url for url in live if "/assets/" not in url]
        api = [url for url in live if own in url] or [f"{api_url}{place}" for place in _places_of_api(file)]
        found[file.path] = (*first, *api)
    return found


def _places_of_api(file: File) -> Iterator[str]:
    """Where the API has the content of a file, from its root."""
    if file.entry:
        yield f"/zarr/{file.zarr}/files/?{urlencode({'download': 'true', 'prefix': file.entry})}"
    elif file.asset_id:
        yield f"/assets/{file.asset_id}/download/"


def _url_logs(contents: Contents) -> dict[str, list[str]]:
    """The URLs that git-annex knows of each file that it keeps."""
    dataset = contents.dataset
    if not dataset:
        return {}
    branch = dataset.ref("refs/heads/git-annex") or dataset.ref("refs/remotes/origin/git-annex")
    keys = {file.path: key for file in contents.files if (key := file.key) and not file.oid} if branch else {}
    with dataset.reader() as reader:
        logs = reader.read([f"{branch}:{url_path(hash_dir_lower(key), key)}" for key in keys.values()])
        found = zip(keys, [present(log or b"") for log in logs], strict=True)
        return {path: sorted(url for url, there in log.items() if there) for path, log in found}


def dataset_here(name: Name, path: Path, folder: Path | None) -> Dataset | None:
    """The repository of a name's Dandiset that is on this machine."""
    if folder:
        return Dataset(folder)
    if not name.dandiset:
        return None
    if (dataset := Mirror(path).dataset(name.dandiset)).exists():
        return dataset
    clone = clone_at(str(path))
    return Dataset(clone.folder) if clone and clone.name.dandiset == name.dandiset else None


def _is_of(instance: str | None, record: Mapping[str, object]) -> bool:
    """Whether a Dandiset's record is of an archive, as far as one can tell without asking."""
    return may_be(instance, str(record.get("identifier", "")).partition(":")[0])


def chosen(name: Name, version: str, files: Iterable[File], paths: Iterable[str] = ()) -> list[File]:
    """The files that a name means, sorted; ``paths`` are others of the version."""
    found = list(files)
    if name.asset:
        meant = [file for file in found if file.asset_id == name.asset]
    else:
        paths_meant = set(name.chosen(file.path for file in found))
        meant = [file for file in found if file.path in paths_meant]
    if not meant and not name.whole:
        wanted = name.path.rstrip("/") or name.prefix or name.glob or str(name.asset)
        places = {place for path in (*paths, *(file.path for file in found)) for place in _places(path)}
        near = get_close_matches(wanted, places, 1)
        hint = f"did you mean {name.dandiset}@{version}/{near[0]}?" if near else f"see dandi-mirror ls {name.dandiset}"
        raise NotFoundError(f"{name.dandiset}@{version} has no {wanted}; {hint}")
    return sorted(meant, key=lambda file: file.path.encode(errors="surrogatepass"))


def _places(path: str) -> Iterator[str]:
    """A path and the folders that it is in."""
    parts = path.split("/")
    yield from ("/".join(parts[: depth + 1]) for depth in range(len(parts)))


def _placed(dataset: Dataset, tree: Tree, files: Iterable[File]) -> list[File]:
    """The files, with where their content is on this machine."""
    objects = dataset.git_dir / "annex" / "objects"
    placed = []
    for file in files:
        mode, oid = tree.get(file.path, (b"", ""))
        if file.state:
            pass
        elif mode == FILE:
            file = replace(file, oid=oid)
        elif key := file.key:
            content = objects / hash_dir_mixed(key) / key / key
            file = replace(file, content=content) if content.exists() else file
        placed.append(file)
    return placed


def file_of(record: Record | Refusal) -> File:
    """The file that a record is of."""
    if isinstance(record, Refusal):
        return replace(found_file(record.finding("")), size=record.size)
    fields = annex_fields(record.metadata, record.path)
    time = record.metadata.get("blobDateModified")
    return File(
        record.path,
        record.size,
        record.asset_id,
        record.sha256,
        tuple(value for field, value in fields if field == "subject"),
        next((value for field, value in fields if field == "session"), ""),
        time if isinstance(time, str) else "",
    )


def found_file(finding: Finding) -> File:
    """The file of which a sync could say no more than this."""
    asset_id = finding.asset_id if is_asset_id(finding.asset_id) else ""
    return File(finding.path, None, asset_id, state=finding.kind, reason=finding.reason)
