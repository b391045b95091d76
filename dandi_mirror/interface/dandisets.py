"""A Dandiset in a mirror or in a clone: its versions, assets, record, citation, and what changed."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from dandi_mirror.archive.content import JOBS
from dandi_mirror.archive.name_parts import no_version
from dandi_mirror.archive.names import Name
from dandi_mirror.errors import NotFoundError, UsageError
from dandi_mirror.interface.arguments import check_jobs, check_texts
from dandi_mirror.interface.getting import get_content
from dandi_mirror.interface.opening import open_content
from dandi_mirror.interface.values import Asset, Assets, Got, asset_of
from dandi_mirror.mirror.contents.files import VersionFile
from dandi_mirror.mirror.format.record_reader import dandiset_record
from dandi_mirror.mirror.history.citation import FORMS
from dandi_mirror.mirror.history.diff import Changes
from dandi_mirror.model import DRAFT, is_version_id
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.workflows.names.version_ranges import compared
from dandi_mirror.workflows.names.versions_here import with_versions
from dandi_mirror.workflows.names.zarr_names import read_zarr_name
from dandi_mirror.workflows.reading.cite import citation, published
from dandi_mirror.workflows.reading.listing import FoundFiles, find_files

if TYPE_CHECKING:
    from dandi_mirror.workflows.export.export import Exported


@dataclass(frozen=True, slots=True)
class Dandiset:
    """One Dandiset, as a dataset on this machine has it."""

    identifier: str
    """Six digits."""
    path: Path
    """The dataset."""
    top: Path
    """The mirror that holds it, or the clone itself."""
    instance: str
    """The archive: a name, or the URL of an API."""

    @property
    def _dataset(self) -> Dataset:
        return Dataset(self.path)

    @property
    def versions(self) -> list[str]:
        """The published versions that are here, oldest first, then ``draft`` if that is."""
        refs = self._dataset.refs_in_files("refs/heads", "refs/tags", "refs/remotes")
        tags = sorted(name for ref in refs if is_version_id(name := ref.removeprefix("refs/tags/")))
        drafts = {f"refs/heads/{DRAFT}", f"refs/remotes/origin/{DRAFT}"}
        return [*tags, DRAFT] if drafts & refs.keys() else tags

    def assets(self, path: str = "", version: str | None = None) -> Assets:
        """The assets of a version (default: the newest published one, else the draft), or those in ``path``.

        A Zarr is one asset; a path in it gives its entries, and behind its own path, @CHECKSUM means another state.

        Raises:
            UsageError: the version or the path is not written as one.
            NotFoundError: there is no such version or path here.
        """
        check_texts("assets", [path])
        found = self._found(path, version)
        return Assets([asset_of(file, self.identifier, found.found.version) for file in found.files()])

    def asset(self, path: str, version: str | None = None) -> Asset:
        """One asset by its path; raises as :meth:`assets`."""
        check_texts("asset", [path])
        found = self._found(path, version)
        return asset_of(_single(found), self.identifier, found.found.version)

    def open(self, path: str, version: str | None = None) -> BinaryIO:
        """A file object with the content of an asset: from this machine, else by ranges from the archive.

        Reading by ranges needs the extra ``stream``.

        Raises:
            NotFoundError: there is no such asset, or nobody is known to have its content.
            UsageError: the content is not here, and the extra is not installed.
        """
        check_texts("open", [path])
        return open_content(self._dataset, _single(self._found(path, version), urls=True), self.instance)

    def record(self, version: str | None = None) -> dict[str, object]:
        """The Dandiset's own record in a version: title, contributors, license and so on."""
        return dandiset_record(self._found("", version).found.record)

    def cite(self, version: str | None = None, form: str = "text") -> str:
        """The citation of a version (default: the newest published one) as ``text``, ``bibtex``, ``ris`` or ``cff``.

        Of ``draft``, or the id of one of its commits, it has the commit that this mirror made of it.

        Raises:
            UsageError: there is no such version or form.
        """
        if form not in FORMS:
            raise UsageError(f"{form}: no such form of a citation; there are {', '.join(FORMS)}")
        wanted = version or next(reversed(published(self._dataset)), "")
        return citation(self._dataset, self.identifier, wanted).form(form)

    def export(
        self, form: str, to: str | PathLike[str] | None = None, *, version: str | None = None, payload: bool = False,
        overwrite: bool = False, jobs: int = JOBS, progress: bool = False,
    ) -> Exported:  # fmt: skip
        """Describe a version as ``ro-crate``, ``croissant``, ``metalink`` or ``bagit``; what was written, and left out.

        ``to``: the file, or the folder of a bag; by default one in the current folder.  ``payload``: bring all files
        into the bag, ``jobs`` at a time.

        Raises:
            UsageError: there is no such version or format, or something is at ``to`` already.
            PartError: some files did not come into the bag.
        """
        check_jobs(jobs)
        from dandi_mirror.interface.exporting import export  # takes half of the time that all the rest takes

        return export(self._name("", version), form, to, self.top, self.path, self.instance or None,
                      payload=payload, overwrite=overwrite, jobs=jobs, show=progress)  # fmt: skip

    def diff(self, old: str | None = None, new: str | None = None) -> Changes:
        """What changed between two versions (default: from the newest published one to the draft).

        Raises:
            UsageError: there is no such version.
        """
        typed = f"{old or ''}..{new or ''}" if old or new else ""
        return compared(self._dataset, self.identifier, typed)[2]

    def get(self, *paths: str, where: str = "", jobs: int = JOBS, progress: bool = False) -> list[Got]:
        """Get the content of files, folders and globs of what is checked out; all of it if none is named.

        ``where``: conditions on metadata, as ``species:mouse sex:female``.  ``progress``: show a bar, also in Jupyter.

        Raises:
            GetFailed: some files did not come, or a path means nothing.
        """
        check_texts("get", paths)
        check_jobs(jobs)
        return get_content(self.path, paths, self.top, self.instance or None, where, jobs, progress)

    def _found(self, path: str, version: str | None) -> FoundFiles:
        """What ``dandi-mirror ls`` finds here, too; unlike that, it does not ask the archive for what is not here."""
        if found := find_files(self._name(path, version), self.top, self.path):
            return found
        if version:
            raise NotFoundError(no_version(self.identifier, version, self.path, self.versions))
        raise NotFoundError(f"{self.path} has no version at all; run dandi-mirror sync {self.identifier}")

    def _name(self, path: str, version: str | None) -> Name:
        whole = f"{self.identifier}@{version}" if version else self.identifier
        try:
            return read_zarr_name("/".join(part for part in (whole, path) if part))
        except UsageError as error:
            raise with_versions(error, self.top) from None

    def __repr__(self) -> str:
        return f"<Dandiset {self.identifier} at {self.path}>"


def _single(found: FoundFiles, *, urls: bool = False) -> VersionFile:
    """The one file that was named.

    Raises:
        NotFoundError: it is a folder.
    """
    wanted = "/".join(part for part in (found.name.path, found.name.entry) if part)
    number = 0
    for number, file in enumerate(found.files(urls=urls), 1):  # noqa: B007
        if file.path == wanted:
            return file
    raise NotFoundError(f"{wanted} is no asset, but a folder with {number:,} of them")
