"""A version of a Dandiset, draft or published: its assets, and its records in the API."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from dandi_mirror.embedded.rules.checks import version_errors
from dandi_mirror.embedded.rules.computed import citation
from dandi_mirror.embedded.rules.names import folders_of
from dandi_mirror.embedded.rules.refusals import Refused
from dandi_mirror.embedded.rules.values import metadata_time, moment
from dandi_mirror.embedded.store.assets import CONTEXT, StoredAsset
from dandi_mirror.embedded.store.folders import Folder, summary, tree
from dandi_mirror.embedded.store.identity import DandisetIdentity

DRAFT = "draft"
COMPUTED = {"id", "url", "access", "version", "@context", "citation", "identifier", "repository"}
COMPUTED |= {"dateCreated", "manifestLocation", "assetsSummary", "doi", "publishedBy", "datePublished", "releaseNotes"}
"""Keys of a Dandiset's record that the archive computes; it replaces a client's own values of them."""


class AssetTotals(NamedTuple):
    """Assets of a version: how many, their bytes, and how many keep it from being Valid."""

    assets: int
    size: int
    pending: int
    invalid: int


class Version:
    """The draft or a published version.  ``version`` is its name in URLs, ``name`` the Dandiset's title."""

    def __init__(self, dandiset: DandisetIdentity, version: str, created: datetime, metadata: dict[str, Any]) -> None:
        self.dandiset = dandiset
        self.version = version
        self.number = dandiset.archive.count_up()
        self.created = created
        self.release_notes = ""
        self.validation_errors: list[dict[str, Any]] = []
        self.given = metadata
        self.verbatim = False
        """Whether ``given`` is the whole record, and the answer is equal to it."""
        self.published: dict[str, Any] = {}
        """``doi``, ``publishedBy``, ``datePublished``, ``releaseNotes`` of a published version."""
        self._modified = created
        self._status: str | None = None
        self._waiting = False
        self._assets: dict[str, StoredAsset] = {}
        self._paths: dict[str, StoredAsset] = {}
        self._folders: Counter[str] = Counter()
        self._cache: dict[str, Any] = {}

    # --- a test may set these

    @property
    def modified(self) -> datetime:
        """Time of the last change; a test may set it, also to a time in the API's format."""
        return self._modified

    @modified.setter
    def modified(self, value: datetime | str) -> None:
        self._modified = moment(value)

    @property
    def status(self) -> str:
        """The status that a test has set, until the next change; else as if validation had just run."""
        if self._status is not None:
            return self._status
        totals = self.totals
        if totals.pending:
            return "Pending"
        return "Valid" if totals.assets and not totals.invalid and not self.validation_errors else "Invalid"

    @status.setter
    def status(self, value: str) -> None:
        self._status = value

    # --- assets

    def __iter__(self) -> Iterator[StoredAsset]:
        return iter(self.ordered("created"))

    def __len__(self) -> int:
        return len(self._assets)

    def asset_at(self, path: str) -> StoredAsset | None:
        """The asset with exactly this path."""
        if not self._paths and self._assets:
            self._paths = {asset.path: asset for asset in self._assets.values()}
        return self._paths.get(path)

    def check_free(self, path: str, instead_of: StoredAsset | None = None) -> None:
        """Refuse a path that another asset has, or that would make a file a folder; ``instead_of`` does not count.

        Raises:
            Refused: 409 with the server's words.
        """
        gone = instead_of.path if instead_of else None
        if path != gone and self.asset_at(path):
            raise Refused(409, "An asset with that path already exists")
        clashes = [folder for folder in folders_of(path) if folder in self._paths and folder != gone]
        if not clashes and self._folders[path]:
            below = [o for o in self._paths if o.startswith(path + "/") and o != gone]
            folders = {folder for o in below for folder in folders_of(o) if len(folder) > len(path)}
            clashes = sorted(folders.union(below))
        if clashes:
            words = f'Path of new asset "{path}" conflicts with existing assets: {clashes}'
            raise Refused(409, words)

    def put(self, asset: StoredAsset, now: datetime) -> None:
        """Add an asset at the end of the default order."""
        self._assets[asset.asset_id] = asset
        self._paths[asset.path] = asset
        self._folders.update(folders_of(asset.path))
        self.touch(now)

    def take_out(self, asset: StoredAsset, now: datetime) -> None:
        """Remove an asset; its own record stays."""
        del self._assets[asset.asset_id]
        self._paths.pop(asset.path, None)
        self._folders.subtract(folders_of(asset.path))
        self.touch(now)

    def touch(self, now: datetime) -> None:
        """Note a change of content or metadata."""
        self._modified = now
        self._status = None
        self.forget()

    def wait(self, now: datetime) -> None:
        """Note a change that came over HTTP: Pending until :meth:`validate`."""
        self.touch(now)
        self._status, self._waiting = "Pending", True

    def validate(self, now: datetime) -> None:
        """Validate what came over HTTP, if no asset waits for its SHA-256; ``modified`` moves."""
        if self._waiting and not self.totals.pending:
            self.touch(now)
            self._waiting = False
            self.validation_errors = version_errors(self.given)

    @property
    def doi(self) -> str:
        """The DOI that a published version gets."""
        of = self.dandiset
        return f"{of.archive.doi_prefix}/{of.archive.instance_name.lower()}.{of.identifier}/{self.version}"

    def mint_doi(self) -> None:
        """Put the DOI into the record, as after DataCite's answer; no asset changes."""
        self.published, self.modified = self.published | {"doi": self.doi}, self.dandiset.archive.now()

    def forget(self) -> None:
        """Drop the values computed from the assets; dates stay."""
        self._cache.clear()

    def share_assets(self, other: Version) -> None:
        """Hold the same assets as ``other`` holds now."""
        self._assets = dict(other._assets)
        self.forget()

    def ordered(self, order: str) -> list[StoredAsset]:
        """All assets by ``created``, ``modified`` or ``path`` (byte order), backwards with a dash."""
        if order not in self._cache:
            field = order.lstrip("-")
            backwards = order.startswith("-")
            key = _by_path if field == "path" else _by_created if field == "created" else _by_modified
            self._cache[order] = sorted(self._assets.values(), key=key, reverse=backwards)
        found: list[StoredAsset] = self._cache[order]
        return found

    @property
    def totals(self) -> AssetTotals:
        """Sums over the assets."""
        if "totals" not in self._cache:
            assets = self._assets.values()
            states = Counter((asset.status, asset.zarr is None) for asset in assets)
            size = sum(asset.size for asset in assets)
            pending, invalid = states["Pending", True], states["Invalid", True] + states["Invalid", False]
            self._cache["totals"] = AssetTotals(len(assets), size, pending, invalid)
        totals: AssetTotals = self._cache["totals"]
        return totals

    def children(self, folder: str) -> list[Folder] | None:
        """One folder level, by path; ``""`` is the root; empty for a file; None for no such path."""
        if "tree" not in self._cache:
            self._cache["tree"] = tree(self.ordered("path"))
        levels: dict[str, dict[str, Folder]] = self._cache["tree"]
        if folder in levels or not folder:
            return sorted(levels.get(folder, {}).values(), key=_folder_path)
        return [] if self.asset_at(folder) else None

    # --- records

    def entry(self, *, detail: bool) -> dict[str, Any]:
        """As inside the record of a Dandiset: 7 fields in lists, 9 with ``detail``."""
        totals = self.totals
        entry = {
            "version": self.version,
            "name": self.name,
            "asset_count": totals.assets,
            "active_uploads": self.dandiset.active_uploads() if self.version == DRAFT else 0,
            "size": totals.size,
            "status": self.status,
            "created": self.created,
            "modified": self.modified,
            "release_notes": self.release_notes,
        }
        if not detail:
            del entry["active_uploads"], entry["release_notes"]
        return entry

    def listed(self) -> dict[str, Any]:
        """As in the list of versions: with the Dandiset, release notes last."""
        entry = self.entry(detail=True)
        notes = entry.pop("release_notes")
        return entry | {"dandiset": self.dandiset.entry(), "release_notes": notes}

    def info(self) -> dict[str, Any]:
        """As in ``…/info/``."""
        return self.listed() | {
            "asset_validation_errors": self._asset_errors(),
            "version_validation_errors": self.validation_errors,
            "metadata": self.metadata,
            "contact_person": self.dandiset.contact_person,
        }

    def _asset_errors(self) -> list[dict[str, Any]]:
        """At most 50 pending and 50 invalid assets, as the server has it."""
        wait = {"field": "", "message": "asset is currently being validated, please wait."}
        pending = [a for a in self if a.status == "Pending"][:50]
        invalid = [a for a in self if a.status == "Invalid"][:50]
        errors = [wait | {"path": asset.path} for asset in pending]
        return errors + [error | {"path": a.path} for a in invalid for error in a.validation_errors]

    @property
    def name(self) -> str:
        """The title."""
        return str(self.given.get("name", ""))

    @property
    def metadata(self) -> dict[str, Any]:
        """The Dandiset record of dandischema, as ``GET …/versions/{v}/`` answers it."""
        if self.verbatim:
            return self.given
        dandiset, archive = self.dandiset, self.dandiset.archive
        identifier = f"{archive.instance_name}:{dandiset.identifier}"
        schema = self.given.get("schemaVersion", archive.schema_version)
        computed = {
            "id": f"{identifier}/{self.version}",
            "url": f"{archive.web_url}/dandiset/{dandiset.identifier}/{self.version}",
            "name": self.name,
            "access": dandiset.access(),
            "version": self.version,
            "@context": CONTEXT.format(schema),
            "identifier": identifier,
            "repository": archive.web_url,
            "dateCreated": metadata_time(dandiset.created),
            "assetsSummary": self.given.get("assetsSummary") or self._summary(),
            "manifestLocation": [self._manifest()],
        }
        record = self.given | computed | self.published
        return record | {"citation": citation(record, self.created.year)}

    def _manifest(self) -> str:
        archive = self.dandiset.archive
        where = f"dandisets/{self.dandiset.identifier}"
        if self.version == DRAFT:
            return f"{archive.api_url}/{where}/versions/draft/assets/"
        return f"{archive.s3_url}/{where}/{self.version}/assets.yaml"

    def _summary(self) -> dict[str, Any]:
        """``assetsSummary`` from the Valid assets, of which only numbers are computed here."""
        if "summary" not in self._cache:
            valid = [asset for asset in self._assets.values() if asset.status == "Valid"]
            self._cache["summary"] = summary(valid)
        made: dict[str, Any] = self._cache["summary"]
        return made


def _by_path(asset: StoredAsset) -> bytes:
    return asset.path.encode(errors="surrogatepass")


def _by_created(asset: StoredAsset) -> datetime:
    return asset.created


def _by_modified(asset: StoredAsset) -> datetime:
    return asset.modified


def _folder_path(folder: Folder) -> bytes:
    return folder.path.encode(errors="surrogatepass")
