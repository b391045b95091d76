"""``dandi-mirror cite``: print the citation of a version."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from dandi_mirror.cli import options
from dandi_mirror.workflows import naming

SHOWN = 5
"""How many versions are named."""


@click.command("cite")
@click.argument("version", metavar="ID@VERSION", shell_complete=options.complete_versions)
@click.option(
    "-f", "--format", "form", type=click.Choice(["text", "bibtex", "ris", "cff"]), default="text", show_default=True,
    help="Print text, BibTeX, RIS, or a CITATION.cff file.",
)  # fmt: skip
@options.mirror
@options.log_level
def command(version: str, form: str, mirror_path: Path) -> None:
    """Print the citation of a published version, from the mirror or a clone; the archive is not asked.

    The citation has the DOI, and the commit of the version's tag, which is the same in every mirror.

    \b
    Examples:
      dandi-mirror cite 000004@0.220126.1852 -d dandi
      dandi-mirror cite 000004@0.220126.1852 -d dandi -f bibtex
    """
    from dandi_mirror.errors import PartError, UsageError
    from dandi_mirror.mirror.format.record_reader import dandiset_record
    from dandi_mirror.mirror.history.citation import Citation
    from dandi_mirror.mirror.locate.versions import dataset_of
    from dandi_mirror.model import DRAFT, is_version_id
    from dandi_mirror.workflows.terminal import say

    named = naming.read_name(version, offline=True)
    if not named.dandiset:
        raise UsageError(f"{version} does not name a Dandiset; write its id, an @ and the version")
    naming.check_names(mirror_path, [named])
    dataset = dataset_of(mirror_path.absolute(), named.dandiset)
    names = {ref.removeprefix("refs/tags/") for ref in dataset.refs() if ref.startswith("refs/tags/")}
    tags = sorted(name for name in names - dataset.light_tags() if is_version_id(name))
    if named.version not in tags:
        why = f"no such version in {mirror_path}" if named.version else "name the version to cite"
        why = "a draft changes, so it cannot be cited" if named.version == DRAFT else why
        raise UsageError(f"{version}: {why}; {_have(named.dandiset, named.version or '', tags)}")
    commit, seconds = dataset.tagged(str(named.version))
    with dataset.reader() as reader:
        (content,) = reader.read([f"{commit}:dandiset.yaml"])
    if not (record := dandiset_record(content)):
        raise PartError(
            f"{version}: the record of this version in {dataset.path} cannot be read; no sync made this tag"
        )
    say(Citation.of(record, commit, datetime.fromtimestamp(seconds, UTC)).form(form).rstrip("\n"))


def _have(dandiset: str, wanted: str, tags: list[str]) -> str:
    """Name the published versions that are here: the most similar to ``wanted`` first, else the newest first."""
    from difflib import SequenceMatcher

    if not tags:
        return f"{dandiset} has no published version here; see dandi-mirror status {dandiset}"
    near = sorted(tags, reverse=True)
    near.sort(key=lambda tag: SequenceMatcher(None, wanted, tag).ratio(), reverse=True)
    shown = ", ".join(f"{dandiset}@{tag}" for tag in near[:SHOWN])
    return f"there {'are' if len(tags) > 1 else 'is'} {shown}" + (", …" if len(tags) > SHOWN else "")
