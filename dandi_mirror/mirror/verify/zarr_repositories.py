"""Check the repositories of Zarrs: whole, at the commits that the manifests give, and with logs of every entry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from dandi_mirror.errors import MirrorError
from dandi_mirror.mirror.format.admission import ContentHosts
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.state.options import Options
from dandi_mirror.mirror.sync.zarr_repositories import is_wanted
from dandi_mirror.mirror.verify.annex_logs import LINE
from dandi_mirror.mirror.verify.differences import Difference, DifferenceKind, fixed_by_sync
from dandi_mirror.mirror.verify.repository import check_files, check_objects
from dandi_mirror.mirror.verify.restore_zarrs import check_zarr_aside
from dandi_mirror.mirror.verify.sample import Window
from dandi_mirror.mirror.verify.zarr_manifests import is_examined
from dandi_mirror.mirror.verify.zarr_states import NamedZarrState, ZarrsOfDataset
from dandi_mirror.mirror.zarr.annex_logs import AT_ONCE, Sources, annexed, log_folder
from dandi_mirror.mirror.zarr.belonging import other_zarr
from dandi_mirror.mirror.zarr.repository import BRANCH, ZarrRepositories, repository_name
from dandi_mirror.mirror.zarr.state import ZarrState
from dandi_mirror.repo.annex import logs
from dandi_mirror.repo.annex.logs import location_path, present, url_path
from dandi_mirror.repo.git.dataset import ANNEX, TAGS, Dataset
from dandi_mirror.repo.git.reader import ObjectReader

_MOST = 20
"""Keys of a repository whose logs are named one by one."""


@dataclass(frozen=True, slots=True)
class ZarrChecks:
    """What the repositories of a dataset's Zarrs are compared with."""

    mirror: Mirror
    dandiset: str
    zarrs: ZarrsOfDataset
    hosts: ContentHosts
    options: Options
    window: Window
    """The share of the large Zarrs whose logs are compared."""

    def check(self) -> Iterator[Difference]:
        """The differences of all repositories, and those that are not there and are wanted."""
        repositories, newest = ZarrRepositories(self.mirror.path), self.zarrs.newest()
        wanted = {module.zarr_id for module in self.zarrs.branch if is_wanted(self.options, module)}
        bases = bases_of(self.mirror, self.dandiset, self.hosts) if self.zarrs.states() else {}
        for zarr_id in sorted({state.zarr_id for state in self.zarrs.states()}):
            name, sync = repository_name(zarr_id), f"dandi-mirror sync {self.dandiset} --mode force"
            yield from (Difference(DifferenceKind.ZARR, name, what) for what in check_zarr_aside(self.mirror, zarr_id))
            if not repositories.path(zarr_id).exists():
                if zarr_id in wanted:
                    yield fixed_by_sync(DifferenceKind.ZARR, name, "the repository of the Zarr is missing", sync)
                continue
            if not repositories.path(zarr_id).is_own_folder():
                what = "a link, a file or another user's folder stands in the place of the repository of the Zarr"
                yield Difference(DifferenceKind.ZARR, name, what)
                continue
            behind = zarr_id in wanted and self._is_behind(repositories.dataset(zarr_id), newest[zarr_id])
            whole = zarr_id in wanted and not behind
            found = [*self._check_one(repositories.dataset(zarr_id), zarr_id, bases.get(zarr_id), whole)]
            yield from (Difference(DifferenceKind.ZARR, name, what) for what in found)
            if behind and not found:
                what = "its branch is not at the state that the dataset has"
                yield fixed_by_sync(DifferenceKind.ZARR, name, what, sync)

    def _is_behind(self, dataset: Dataset, newest: NamedZarrState) -> bool:
        draft = dataset.ref(f"refs/heads/{BRANCH}")
        return bool(draft) and draft not in self.zarrs.commits[newest]

    def _check_one(self, dataset: Dataset, zarr_id: str, base: str | None, whole: bool) -> Iterator[str]:
        if not dataset.exists() or not (dataset.path / "refs").is_dir():
            # git would take the mirror's own repository, which is above it
            yield "it is no complete repository, files of git are missing"
            return
        damage = [*check_files(dataset), *([] if any(check_files(dataset)) else check_objects(dataset))]
        if damage:
            yield from (found.what for found in damage)
            return
        refs, states = dataset.refs_in_files("refs/heads", "refs/tags"), dict(self._states(zarr_id))
        commits = {name: state.commit for name, state in states.items()}
        known = self._gitlinks(zarr_id) | commits
        if other := other_zarr(dataset, zarr_id, refs, frozenset(known.values())):
            # nothing in it is worth a comparison; a sync would add to what is another's
            yield f"it is the repository of another Zarr, {other}, or has states of it"
            return
        yield from _check_refs(refs, known, whole)
        tagged = [state for name, state in states.items() if refs.get(TAGS + name) == state.commit]
        if ANNEX in refs:
            with dataset.reader() as reader:
                yield from self._check_logs(reader, tagged, base)

    def _states(self, zarr_id: str) -> Iterator[tuple[str, ZarrState]]:
        """The states of which there is a manifest that can be read."""
        for checksum in self.mirror.manifests.states(zarr_id):
            try:
                yield checksum, self.mirror.manifests.state(zarr_id, checksum)
            except MirrorError:
                continue  # another check names it

    def _gitlinks(self, zarr_id: str) -> dict[str, str]:
        """State → the commit that a gitlink has of it: it counts where the manifest is lost."""
        known = self.zarrs.known_commits().items()
        return {checksum: commit for (this, checksum), commit in known if this == zarr_id}

    # --- logs ---------------------------------------------------------------------------------------------------

    def _check_logs(self, reader: ObjectReader, states: Iterable[ZarrState], base: str | None) -> Iterator[str]:
        (remotes,) = reader.read([f"{ANNEX}:remote.log"])
        if logs.api_of(remotes or b"") != self.hosts.instance.api_url.partition("://")[2]:
            yield "remote.log does not name the remote of the archive's API"
        count = 0
        for state in states:
            if not is_examined(NamedZarrState(state.zarr_id, state.checksum), self.window):
                continue
            for path, what in self._check_state(reader, state, Sources(self.hosts.instance.api_url, base)):
                count += 1
                if count <= _MOST:
                    yield f"{path}: {what}"
        if count > _MOST:
            yield f"{count - _MOST:,} more of its logs differ"

    def _check_state(self, reader: ObjectReader, state: ZarrState, sources: Sources) -> Iterator[tuple[str, str]]:
        parts = state.entries // AT_ONCE + 1
        for part in range(parts):
            try:
                urls = self._urls(state, sources, part, parts)
            except MirrorError:
                return  # another check names the manifest
            yield from self._compare(reader, urls)

    def _urls(self, state: ZarrState, sources: Sources, part: int, parts: int) -> Mapping[str, tuple[str, list[str]]]:
        """For each key of one of ``parts``: the folder of its logs, and the URLs that it must have."""
        found: dict[str, tuple[str, list[str]]] = {}
        for digest, key, entry in annexed(self.mirror.manifests.entries(state.zarr_id, state.checksum)):
            if int(digest[:6], 16) % parts == part:
                found.setdefault(key, (log_folder(digest), []))[1].extend(sources.urls(state.zarr_id, entry))
        return found

    def _compare(self, reader: ObjectReader, urls: Mapping[str, tuple[str, list[str]]]) -> Iterator[tuple[str, str]]:
        paths = [(location_path(folder, key), url_path(folder, key)) for key, (folder, _) in urls.items()]
        contents = iter(reader.read([f"{ANNEX}:{path}" for pair in paths for path in pair]))
        for (location, web), (_, expected) in zip(paths, urls.values(), strict=True):
            where, urls_log = next(contents) or b"", next(contents) or b""
            if what := self._wrong_location(where):
                yield location, what
            if what := self._wrong_urls(urls_log, expected, public=present(where).get(logs.WEB, False)):
                yield web, what

    def _wrong_location(self, log: bytes) -> str:
        here = present(log)
        remotes = (logs.WEB, logs.embargo_remote(self.hosts.instance.api_url)[0])
        if not any(here.get(remote) for remote in remotes):
            return "the location log does not say that the archive has the content"
        return "" if _is_readable(log) else "a line of the log cannot be read"

    def _wrong_urls(self, log: bytes, expected: list[str], *, public: bool) -> str:
        """What is wrong with a URL log; one that is not ``public`` was written under an embargo: the API's URLs."""
        if not _is_readable(log):
            return "a line of the log cannot be read"
        here = {url for url, there in present(log).items() if there}
        if foreign := sorted(url for url in here if not self.hosts.admits(url)):
            return f"the URL log names another host than the archive's: {foreign[0]}"
        api = {url for url in expected if url.startswith(f"{self.hosts.instance.api_url}/")}
        missing = (set(expected) if public else api) - here
        return f"the URL log lacks a URL: {min(missing)}" if missing else ""


def bases_of(mirror: Mirror, dandiset: str, hosts: ContentHosts) -> dict[str, str]:
    """Zarr → the URL of its folder in the bucket, as far as the mirror remembers the assets of the draft."""
    known = mirror.asset_cache(dandiset).load(hosts).values()
    return {asset.zarr: f"{asset.content_url.rstrip('/')}/" for asset in known if asset.zarr and asset.content_url}


def _is_readable(log: bytes) -> bool:
    return log.endswith(b"\n") and all(map(LINE.fullmatch, log.split(b"\n")[:-1]))


def _check_refs(refs: Mapping[str, str], commits: Mapping[str, str], whole: bool) -> Iterator[str]:
    """What differs between the refs of a repository and the ``commits`` of the states.

    ``whole`` tells that the repository must have all states: one that is not wanted gets them when it is needed.
    """
    for name, commit in commits.items():
        tag = refs.get(TAGS + name, "" if whole else commit)
        if not tag:
            yield f"the tag {name} is missing"
            continue
        if tag != commit:
            yield f"the tag {name} is at {tag[:10]}, and the state has {commit[:10]}"
    if not any(ref.startswith(TAGS) for ref in refs):
        yield "it has no tag of any state"
    draft = refs.get(f"refs/heads/{BRANCH}", "")
    # the tags of states whose manifests are lost count, too
    if not draft or draft not in {*commits.values(), *(oid for ref, oid in refs.items() if ref.startswith(TAGS))}:
        yield "its branch is missing, or at no state of the Zarr"
    if ANNEX not in refs:
        yield "its git-annex branch is missing"
