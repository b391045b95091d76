"""``dandi-mirror cite``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dandi_mirror.cli import naming, options

if TYPE_CHECKING:
    from dandi_mirror.archive.names import Name


@click.command("cite")
@click.argument("version", metavar="ID@VERSION", shell_complete=options.complete_versions)
@click.option(
    "-f", "--format", "form", type=click.Choice(["text", "bibtex", "ris", "cff"]), default="text", show_default=True,
    help="cff: a CITATION.cff file.",
)  # fmt: skip
@options.mirror
@options.log_level
def command(version: str, form: str, mirror_path: Path) -> None:
    """Print the citation of a published version, from the mirror; the archive is not asked.

    It carries the DOI and the commit of the version's tag, which is the same in every mirror.
    """
    from dandi_mirror.cli.output import say
    from dandi_mirror.errors import PartError, UsageError
    from dandi_mirror.mirror.citation import Citation
    from dandi_mirror.mirror.held import dandiset_record
    from dandi_mirror.mirror.mirror import Mirror
    from dandi_mirror.model import is_version_id

    dandiset, name = _cited(naming.read_name(version, offline=True))
    dataset = Mirror(mirror_path.absolute()).dataset(dandiset)
    names = {ref.removeprefix("refs/tags/") for ref in dataset.refs() if ref.startswith("refs/tags/")}
    tags = sorted(name for name in names - dataset.light_tags() if is_version_id(name))
    if name not in tags:
        have = f"it has {', '.join(tags)}" if tags else f"mirror it first: dandi-mirror sync {dandiset}"
        raise UsageError(f"{version}: no such version in {mirror_path}; {have}")
    commit, seconds = dataset.tagged(name)
    with dataset.reader() as reader:
        (content,) = reader.read([f"{commit}:dandiset.yaml"])
    if not (record := dandiset_record(content)):
        raise PartError(f"{version}: {dataset.path} has no record of it that can be read; no sync made this tag")
    say(Citation.of(record, commit, datetime.fromtimestamp(seconds, UTC)).form(form).rstrip("\n"))


def _cited(name: Name) -> tuple[str, str]:
    """The Dandiset and the version that a name says.

    Raises:
        UsageError: no published version is named.
    """
    from dandi_mirror.errors import UsageError
    from dandi_mirror.model import DRAFT

    text, dandiset = name.text, name.dandiset
    if not dandiset or not name.version:
        raise UsageError(f"{text}: name the version to cite, as {dandiset or '000004'}@0.220126.1852")
    if name.version == DRAFT:
        raise UsageError(
            f"{text}: a draft changes, so it cannot be cited; cite a published version, as {dandiset}@0.220126.1852"
        )
    return dandiset, name.version
