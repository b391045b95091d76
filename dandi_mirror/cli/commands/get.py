"""``dandi-mirror get``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dandi_mirror.cli import bringing, options
from dandi_mirror.cli.ending import end_by_signals

if TYPE_CHECKING:
    from dandi_mirror.mirror.contents.selection import FileSelection
    from dandi_mirror.mirror.fetch.get import GetPlan, GetResult
    from dandi_mirror.mirror.locate.targets import Target
    from dandi_mirror.repo.annex.clone import Clone


@click.command("get")
@click.argument("what", metavar="[PATH|ID[@VERSION]]...", nargs=-1, shell_complete=options.complete_versions)
@click.option(
    "--where", "where", metavar="FIELD:VALUE", multiple=True,
    help="Only files with this metadata, as 'species:human sex:female session:*'; may be repeated.",
)  # fmt: skip
@click.option("--max-size", metavar="SIZE", help="At most so much, as 50G.")
@click.option("--newest", is_flag=True, help="The newest first, and so are those that fit into --max-size.")
@bringing.common
def command(
    what: tuple[str, ...],
    where: tuple[str, ...],
    max_size: str | None,
    newest: bool,
    jobs: int | None,
    dry_run: bool,
    mirror_path: Path,
    instance: str | None,
    output: str,
) -> int:
    """Get content: of files and folders of a clone or mirror, or of a Dandiset that is not here yet.

    Each PATH is a file, a folder or a glob ('.' is all of a clone; of a mirror, all of its Dandisets).  An ID in any
    form, with PATHs after it, means the mirror's own dataset inside a mirror; elsewhere it is cloned into a folder of
    its name first: from the mirror named by -d, else from github.com/dandisets.  What is complete is kept, whatever
    ends the run; another one goes on.
    """
    end_by_signals()
    from dandi_mirror.config import size
    from dandi_mirror.errors import UsageError
    from dandi_mirror.mirror.contents.selection import FileSelection, parse_where

    if not what:
        raise UsageError("name files, folders or Dandisets; '.' is all of the clone that you are in")
    wish = FileSelection((), parse_where(where), None if max_size is None else size("--max-size", max_size), newest)
    run = _Run(mirror_path, instance, wish, jobs, dry_run, output)
    places = run.places(what)
    run.check_room(places)
    for place in places:
        run.one(place)
    return run.telling.end()


class _Run:
    """What is told over all datasets of a call."""

    def __init__(
        self, mirror_path: Path, instance: str | None, wish: FileSelection, jobs: int | None, dry_run: bool, form: str
    ) -> None:
        from dandi_mirror.archive.content.scheduler import JOBS

        self._mirror_path = mirror_path
        self._instance = instance or ""
        self._given = instance
        self._hosts: frozenset[str] = frozenset()
        self._wish = wish
        self._jobs = jobs or JOBS
        self._dry_run = dry_run
        self.telling = bringing.Telling("get", ("got", "get"), form, dry_run)

    def places(self, what: Iterable[str]) -> list[Target]:
        """The datasets that are meant."""
        from dandi_mirror.archive.instances import instance_name
        from dandi_mirror.mirror.locate.targets import read_targets
        from dandi_mirror.mirror.state.layout import Mirror
        from dandi_mirror.workflows.naming import read_file, settings_for

        names = []

        def read(text: str):  # type: ignore[no-untyped-def]
            names.append(read_file(text, self._mirror_path, self._given))
            return names[-1]

        def archive_of(name):  # type: ignore[no-untyped-def]
            settings = settings_for(self._mirror_path, [name], instance=self._given)
            self._hosts = frozenset(settings.content_hosts)
            return instance_name(settings.instance)

        found = read_targets(what, read, Mirror(self._mirror_path.absolute()), archive_of)
        self._instance = settings_for(self._mirror_path, names, instance=self._given).instance
        return found

    def check_room(self, places: list[Target]) -> None:
        """Refuse what cannot fit, of several datasets together, before anything is fetched of one."""
        if len(places) > 1 and not self._dry_run and self._wish.most is None:
            from dandi_mirror.mirror.fetch.preview import check_room

            check_room(places, self._wish)

    def one(self, place: Target) -> None:
        """All that is asked for of one dataset."""
        from dataclasses import replace

        from dandi_mirror.mirror.fetch.get import plan_get
        from dandi_mirror.mirror.locate.targets import make
        from dandi_mirror.repo.annex.clone import Clone
        from dandi_mirror.repo.git.siblings import fetch_annex_branch, lacks_annex_branch

        new = place.source or place.member_of
        if new and self._dry_run:
            self._would_come(place)
            return
        if new:
            make(place)
            how = f"cloned from {place.source} into" if place.source else "installed in"
            self.telling.say(f"{place.dandiset} {how} {place.folder}")
        clone = Clone(place.folder)
        if lacking := lacks_annex_branch(clone.dataset):
            self.telling.say(f"{clone.path} was cloned without {lacking}, which says where content is; it is fetched")
            if trouble := fetch_annex_branch(clone.dataset):
                self.telling.say(trouble)
        clone.prepare()
        choice = plan_get(clone, replace(self._wish, paths=tuple(place.paths)), _commit(clone, place))
        self._say_what_is_checked_out(clone, place)
        self._say_what_is_not(clone.path, choice)
        if self._dry_run:
            self._would(clone.path, choice)
        else:
            self._bring(clone, choice)
        self._spend(choice)

    def _say_what_is_checked_out(self, clone: Clone, place: Target) -> None:
        """That another version is checked out than the one whose content comes, so that some of it is not seen."""
        commit = _commit(clone, place)
        if commit and not clone.dataset.has_checked_out(commit):
            what = clone.dataset.head_branch() or "another version"
            self.telling.say(
                f"{clone.path} has {what} checked out, not {place.version}; content comes, but to see the files of "
                f"that version: git -C {clone.path} checkout {place.version}"
            )

    def _spend(self, choice: GetPlan) -> None:
        """What is left of the budget for the next dataset."""
        from dataclasses import replace

        if self._wish.most is not None:
            self._wish = replace(self._wish, most=max(0, self._wish.most - choice.size))
        if choice.beyond:
            self.telling.say(f"{choice.beyond:,} more are beyond --max-size")

    def _say_what_is_not(self, folder: Path, choice: GetPlan) -> None:
        for text in choice.nothing:
            hint = f"; did you mean {choice.near[text]}?" if text in choice.near else ""
            if text.rstrip("/").endswith((".zarr", ".ngff")):
                hint = "; datasets do not hold Zarrs yet: dandi-mirror download brings them as plain files"
            self._tell(folder, _nothing(text, f"there is no such file, folder or match{hint}"))
        for path in choice.odd:
            words = "what its link names can be no key of git-annex, so its content cannot be found; ask who made this"
            self._tell(folder, _nothing(path, words))
        if choice.unmet:
            self._tell(folder, _nothing(".", f"no file fits --where {choice.unmet}"))

    def _would_come(self, place: Target) -> None:
        """What a clone that is not made would be asked for: by the mirror that it would be of, else by the archive."""
        from dataclasses import replace

        from dandi_mirror.mirror.fetch.preview import preview
        from dandi_mirror.workflows import tokens

        wish = replace(self._wish, paths=tuple(place.paths))
        choice = preview(place, wish, lambda look: tokens.asked(self._instance, None, look))
        self.telling.say(f"{place.dandiset} would be cloned from {place.source or place.member_of} into {place.folder}")
        self._say_what_is_not(place.folder, choice)
        self._would(place.folder, choice)
        self._spend(choice)

    def _bring(self, clone: Clone, choice: GetPlan) -> None:
        from dandi_mirror.addresses import Allowed
        from dandi_mirror.archive.content.single import ByteCounter
        from dandi_mirror.archive.instances import api_url
        from dandi_mirror.errors import MirrorError
        from dandi_mirror.mirror.fetch.get import get_content

        # what the clone says of itself widens nothing: only what a person named, or lets git-annex ask
        allowed = Allowed.named(api_url(self._instance), self._hosts, clone.addresses)
        access, meter = bringing.access(clone.closed_api() or self._instance, allowed), ByteCounter()
        with self.telling.progress(choice.size, meter):
            try:
                for got in get_content(clone, choice, access, self._jobs, meter):
                    self._tell(clone.path, got)
            except MirrorError as error:
                self.telling.ended_by(error)
                raise

    def _would(self, folder: Path, choice: GetPlan) -> None:
        from dandi_mirror.mirror.fetch.get import GetResult, size_of

        for file in choice.missing:
            self._tell(folder, GetResult(file.path, file.key, size_of(file.key)))

    def _tell(self, folder: Path, got: GetResult) -> None:
        facts = {"path": str(folder / got.path), "refds": str(folder), "file": got.path, "key": got.key}
        self.telling.file(got.path, got.status, got.message, got.size, got.exit_code, facts)


def _commit(clone: Clone, place: Target) -> str | None:
    """The commit whose files are meant; None: what is checked out.

    Raises:
        UsageError: there is no such version.
    """
    from dandi_mirror.errors import UsageError
    from dandi_mirror.model import DRAFT

    if place.version is None:
        return None
    refs = [f"refs/heads/{DRAFT}", f"refs/remotes/origin/{DRAFT}"]
    for ref in refs if place.version == DRAFT else [f"refs/tags/{place.version}"]:
        if clone.dataset.ref(ref):
            return f"{ref}^{{commit}}"
    raise UsageError(f"{clone.path} has no version {place.version}; see which there are: git -C {clone.path} tag")


def _nothing(text: str, message: str) -> GetResult:
    from dandi_mirror.mirror.fetch.get import GetResult

    return GetResult(text, status="impossible", message=message, exit_code=3)
