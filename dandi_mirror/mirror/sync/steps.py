"""Bringing one Dandiset's dataset up to the archive, while its lock is held."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import chain

from dandi_mirror import __version__
from dandi_mirror.archive.api.client import Archive
from dandi_mirror.errors import PartError, TemporaryError
from dandi_mirror.mirror.format.admission import ContentHosts
from dandi_mirror.mirror.format.record_spool import Spool
from dandi_mirror.mirror.format.tree import FORMAT, Listing, version_tree
from dandi_mirror.mirror.format.unchanged_records import KeptRecords
from dandi_mirror.mirror.state.index import Failure, Remembered, row_key
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.state.members import check_id
from dandi_mirror.mirror.state.options import Options
from dandi_mirror.mirror.sync import messages
from dandi_mirror.mirror.sync.carry_over import carried_assets
from dandi_mirror.mirror.sync.eager_logs import LARGE, EarlyLogs, early_logs
from dandi_mirror.mirror.sync.plan import Plan, make_plan
from dandi_mirror.mirror.sync.rewritten import accept, alarm, kept_as
from dandi_mirror.mirror.sync.text_files import Texts
from dandi_mirror.mirror.sync.version_reader import VersionReader, unseen
from dandi_mirror.mirror.sync.writer import Branch, Version, Writer
from dandi_mirror.model import Asset, DandisetRow, Finding, Kind, Report, VersionRow, is_version_id
from dandi_mirror.repo.git import worktree
from dandi_mirror.repo.git.dataset import ALARM, ANNEX, TAGS, Dataset
from dandi_mirror.repo.git.dataset import Tree as OldTree


@dataclass(slots=True)
class State:
    """What a dataset holds when a run begins."""

    branch: str | None
    tags: Mapping[str, str]
    """Published version → id of its tag object."""
    version: str = ""
    """The version whose tree the branch has."""


@dataclass(slots=True)
class Run:
    """One sync of one Dandiset, while its lock is held."""

    archive: Archive
    mirror: Mirror
    dandiset: str
    options: Options
    report: Report
    spool: Spool
    closed: bool = False
    """Whether it is under embargo: then the API alone gives content, to those with a token."""
    state: State = field(default_factory=lambda: State(None, {}))
    known: Mapping[str, Asset] = field(default_factory=dict)
    """Assets of the draft by id that need not be read again while their rows say the same."""
    early: EarlyLogs | None = None
    """What a large first sync writes while it still reads."""

    @property
    def dataset(self) -> Dataset:
        """The repository."""
        return self.mirror.dataset(self.dandiset)

    @property
    def hosts(self) -> ContentHosts:
        """Where content URLs may point to."""
        return ContentHosts(self.archive.instance, self.options.hosts, closed=self.closed)

    def find(self, version: str, kind: Kind, reason: str, path: str = "", asset_id: str = "") -> None:
        """Name something in the report."""
        self.report.findings.append(Finding(version, path, kind, reason, asset_id))


def bring_up_to_date(run: Run, row: DandisetRow) -> None:
    """Read what is new, plan, refuse what is unsafe, write and remember; in this order; then tidy up."""
    run.options.progress(run.dandiset, "reading the dataset")
    run.state = _read_state(run)
    with _early_logs(run, row) as run.early:
        row, versions, branch = _read(run, row)
        if branch and not run.options.allow_deletes:
            branch.plan.check(run.dandiset)
        _fill_report(run, versions, branch)
        if run.options.dry_run:
            return
        then, hosts = run.mirror.index.get(run.dandiset), _hosts(versions, branch)
        if branch or run.state.branch:
            # the logs of every key are looked at, not only of those whose records changed, where that may be needed
            whole = run.options.mode != "auto" or then is None or then.hosts != hosts
            _write(run, row, versions, branch, whole)
        else:
            run.report.message = "nothing is published yet"
    if run.report.commit:
        run.options.progress(run.dandiset, "work tree")
        _bring_work_tree(run, branch)
    _remember(run, row, then, hosts)
    run.options.progress(run.dandiset, "git gc, if it pays")
    run.dataset.collect_garbage()


def _early_logs(run: Run, row: DandisetRow) -> AbstractContextManager[EarlyLogs | None]:
    small = row.draft.asset_count < LARGE
    if small or run.closed or run.options.dry_run or run.options.branch != "draft" or run.dataset.ref(ANNEX):
        return nullcontext()
    return early_logs(run.dataset, run.options.branch, run.archive.instance, run.dandiset, row.draft.modified)


def _read(run: Run, row: DandisetRow) -> tuple[DandisetRow, list[Version], Branch | None]:
    """What the archive has that is new: the row that goes with it, versions and the branch."""
    with ThreadPoolExecutor(2, thread_name_prefix="beside") as beside:
        return _read_beside(run, row, beside)


def _read_beside(run: Run, row: DandisetRow, beside: Executor) -> tuple[DandisetRow, list[Version], Branch | None]:
    """The same; what is here of the Dandiset is read by other threads while the archive is waited for."""
    old = beside.submit(run.dataset.tree, run.state.branch)
    seen = run.early.take if run.early else unseen
    reader = VersionReader(run.archive, run.dandiset, run.hosts, run.spool, seen)
    rows = _settled_versions(run, row)
    listings = []
    for wanted in _to_read(run, rows):
        run.options.progress(run.dandiset, f"listing {wanted.version}")
        listing = reader.published(wanted, is_new=wanted.version not in run.state.tags)
        if listing:
            listings.append(listing)
        else:
            run.find(wanted.version, Kind.HELD, "not tagged: it waits for its DOI")
    draft = None
    if run.options.branch == "draft":
        run.options.progress(run.dandiset, "listing the draft")
        known = _known(run, beside)
        fresh, draft = reader.draft(row, known)
        run.known = known.result() if known else {}
        # the versions were listed before: one published since is news to the next run, and so is another embargo
        row = replace(fresh, published=row.published, embargo_status=row.embargo_status)
    texts = Texts(run.archive, run.dataset, run.spool, run.state.branch, fetch=not run.options.dry_run)
    versions = [version for listing in listings if (version := _version(run, listing, texts))]
    return row, versions, _branch(run, draft or _newest(run, rows, versions), texts, old.result())


def _known(run: Run, beside: Executor) -> Future[dict[str, Asset]] | None:
    """What is known of the draft as it is mirrored, as soon as it is loaded; None if nothing is."""
    memory = run.mirror.known(run.dandiset)
    fits = run.options.mode == "auto" and run.state.branch and memory.fits(_known_state(run, run.state.branch))
    return beside.submit(memory.load) if fits else None


def _known_state(run: Run, commit: str) -> str:
    """What an admitted asset depends on besides its row; and the commit that has its record."""
    hosts = " ".join(sorted(run.options.hosts))
    hosts += " closed" if run.closed else ""
    return f"{__version__} {FORMAT} {run.archive.instance.api_url} {hosts} {commit}"


def _read_state(run: Run) -> State:
    refs = run.dataset.refs()
    check_id(run.dataset, run.archive.instance, run.dandiset, refs)
    branch = refs.get(f"refs/heads/{run.options.branch}")
    message = run.dataset.message(branch) if branch else ""
    if branch and messages.TRAILER not in message:
        raise PartError(
            f"{run.dandiset}: its branch {run.options.branch} has commits that no sync made; keep them on one of "
            f"your own: git -C {run.dataset.path} branch mine {branch[:10]}, then reset {run.options.branch}"
        )
    tags = {ref.removeprefix(TAGS): oid for ref, oid in refs.items() if is_version_id(ref.removeprefix(TAGS))}
    for name in sorted(set(tags) & run.dataset.light_tags()):
        run.find(name, Kind.ALARM, "a tag that no sync made stands where this version's would be")
    if run.options.mode != "verify":
        # an alarm stands until a verification finds the archive of one mind with the tag again
        standing = {ref.removeprefix(ALARM) for ref in refs if ref.startswith(ALARM)}
        for version in sorted(standing - run.options.accepted):
            _find_alarm(run, version)
    renamed = {name: kept_as(refs, run.dandiset, name) for name in sorted(run.options.accepted)}
    run.report.message = "; ".join(f"{name} is tagged anew, its old tag is {kept}" for name, kept in renamed.items())
    return State(branch, tags, messages.version_of(message))


def _find_alarm(run: Run, version: str) -> None:
    run.find(version, Kind.ALARM, alarm(run.dandiset, version))


def _settled_versions(run: Run, announced: DandisetRow) -> list[VersionRow]:
    """The published versions that are asked for and that the archive is done with, oldest first."""
    if run.options.versions == "draft":
        return []
    rows, strange = run.archive.versions(run.dandiset)
    for name in strange:
        run.find(name, Kind.REFUSED, f"a version called {name}")
    for gone in sorted(set(run.state.tags) - {row.version for row in rows}):
        run.find(gone, Kind.VANISHED, "tagged here and no longer in the archive; the tag stays")
    newest = announced.published.version if announced.published else ""
    if newest and newest not in {*run.state.tags, *(row.version for row in rows)}:
        run.find(newest, Kind.HELD, "the archive calls it the newest and does not list it among the versions")
    if run.options.versions == "latest":
        rows = rows[-1:]
    for row in rows:
        if not row.settled:
            run.find(row.version, Kind.HELD, f"the archive is not done with it ({row.status})")
    return [row for row in rows if row.settled]


def _to_read(run: Run, rows: list[VersionRow]) -> list[VersionRow]:
    """Those not tagged yet or tagged anew, or all of them to verify; and the newest, where the branch follows it."""
    due = {row.version for row in rows} - (run.state.tags.keys() - run.options.accepted)
    follows = run.options.branch == "published" and rows and rows[-1].version != run.state.version
    return [row for row in rows if run.options.mode == "verify" or row.version in due or (follows and row is rows[-1])]


def _newest(run: Run, rows: list[VersionRow], versions: list[Version]) -> Listing | None:
    """The newest version that can be written, for the branch; none that is older than what it has."""
    order = {row.version: place for place, row in enumerate(rows)}
    has = order.get(run.state.version, -1)
    newer = [version.listing for version in versions if order[version.listing.row.version] >= has]
    return newer[-1] if newer else None


def _version(run: Run, listing: Listing, texts: Texts) -> Version | None:
    """A published version as it will be written; None when it has to wait."""
    name = listing.row.version
    _find_refusals(run, listing)
    waiting = [refusal.path for refusal in listing.refusals if refusal.kind in {Kind.PENDING, Kind.ZARR}]
    missing = texts.fetch(listing)
    for asset, reason in missing:
        run.find(name, Kind.TEXT, reason, asset.path, asset.asset_id)
    waiting += [asset.path for asset, _ in missing]
    if waiting:
        run.find(name, Kind.HELD, f"not tagged: {len(waiting)} of its assets cannot be written yet")
        return None
    tree = version_tree(run.archive.instance, run.dandiset, listing, texts.entries, run.spool)
    return Version(listing, tree)


def _branch(run: Run, listing: Listing | None, texts: Texts, old: OldTree) -> Branch | None:
    if listing is None:
        return None
    if listing.row.version == "draft":
        _find_refusals(run, listing)
        for asset, reason in texts.fetch(listing):
            run.find("draft", Kind.TEXT, reason, asset.path, asset.asset_id)
    carried = carried_assets(run.dataset, old, listing, run.spool)
    kept = KeptRecords(run.dataset, old, run.spool) if run.known else None
    tree = version_tree(run.archive.instance, run.dandiset, listing, texts.entries, run.spool, carried, kept)
    counts = messages.Counts.of(chain(listing.assets.values(), carried))
    return Branch(run.options.branch, run.state.branch, listing, tree, old, make_plan(old, tree.entries), counts)


def _find_refusals(run: Run, listing: Listing) -> None:
    version = listing.row.version
    run.report.findings += [refusal.finding(version) for refusal in listing.refusals]
    for asset in listing.assets.values():
        if asset.content_url is None and not run.closed:
            reason = "its record has no content URL that git-annex may be given; the API's URL stands alone"
            run.find(version, Kind.URL, reason, asset.path, asset.asset_id)


def _fill_report(run: Run, versions: list[Version], branch: Branch | None) -> None:
    report = run.report
    report.tags = [v.listing.row.version for v in versions if v.listing.row.version not in run.state.tags]
    if branch:
        report.files, report.size = branch.counts.files, branch.counts.size
        plan: Plan = branch.plan
        report.added, report.changed, report.removed = len(plan.added), len(plan.changed), len(plan.gone)
    if report.tags or run.options.accepted or (branch and not branch.plan.empty):
        report.status = "ok"
    report.findings.sort()


def _write(run: Run, row: DandisetRow, versions: list[Version], branch: Branch | None, whole: bool) -> None:
    dataset = run.dataset
    if not dataset.exists():
        dataset.create(run.options.branch)
    run.options.progress(run.dandiset, "writing")
    _accept(run)
    writer = Writer(run.archive.instance, run.dandiset, dataset, whole=whole, closed=run.closed)
    for version in writer.write(run.state.tags, versions, branch, row.draft.modified, run.early):
        _find_alarm(run, version)
    run.report.commit = dataset.ref(f"refs/heads/{run.options.branch}") or ""


def _accept(run: Run) -> None:
    """Tag anew what a person has named; if the run is killed after it, the next one does the rest."""
    if run.options.accepted:
        run.mirror.remember_failure(run.dandiset, Failure(TemporaryError.exit_code, "cut off while tagging anew"))
    new = {name: accept(run.dataset, run.archive.instance, run.dandiset, name) for name in run.options.accepted}
    run.state.tags = {**run.state.tags, **new}


def _hosts(versions: list[Version], branch: Branch | None) -> str:
    listings = [branch.listing] if branch else [version.listing for version in versions]
    urls = (asset.content_url for listing in listings for asset in listing.assets.values())
    return " ".join(sorted({url[: url.index("/", len("https://"))] for url in urls if url}))


def _bring_work_tree(run: Run, branch: Branch | None) -> None:
    dataset, name = run.dataset, run.options.branch
    description = f"mirror of {run.archive.instance.identifier(run.dandiset)}"
    with ThreadPoolExecutor(2, thread_name_prefix="beside") as pool:
        beside = [pool.submit(_store_known, run, branch)]
        # while git writes a first work tree, git-annex has as much to do with its branch
        if dataset.head_branch() == name and not dataset.annex_is_set_up():
            beside.append(pool.submit(dataset.set_up_annex, description))
        if reason := worktree.bring_up(dataset, name, run.state.branch, left=worktree.OTHER[name]):
            run.find(name, Kind.WORKTREE, f"the work tree was left alone: {reason}")
    for done in beside:
        done.result()
    if dataset.head_branch() == name and not dataset.annex_is_set_up():
        dataset.set_up_annex(description)


def _store_known(run: Run, branch: Branch | None) -> None:
    if branch and run.options.branch == "draft":
        run.mirror.known(run.dandiset).store(_known_state(run, run.report.commit), branch.listing.assets, run.known)


def _remember(run: Run, row: DandisetRow, then: Remembered | None, hosts: str) -> None:
    run.report.findings.sort()
    run.report.news = bool(set(run.report.findings) - set(then.findings if then else ()))
    # after its memory was lost, what was read now counts as read in full
    in_full = run.options.mode != "auto" or not run.known
    verified = then.verified if then and not in_full else 0.0
    findings = tuple(run.report.findings)
    facts = Remembered(row_key(row), run.options.versions, run.report.commit, hosts, findings, verified or time.time())
    run.mirror.remember(run.dandiset, facts)
