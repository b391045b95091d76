"""``dandi-mirror cite``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from dandi_mirror.cli import options


@click.command("cite")
@click.argument("version", metavar="ID@VERSION")
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
    import orjson

    from dandi_mirror.archive.instances import dandiset_id
    from dandi_mirror.errors import UsageError
    from dandi_mirror.mirror.citation import Citation, split_version
    from dandi_mirror.mirror.mirror import Mirror
    from dandi_mirror.model import is_version_id

    text, name = split_version(version)
    dataset = Mirror(mirror_path.absolute()).dataset(dandiset_id(text))
    names = {ref.removeprefix("refs/tags/") for ref in dataset.refs() if ref.startswith("refs/tags/")}
    tags = sorted(name for name in names - dataset.light_tags() if is_version_id(name))
    if name not in tags:
        have = f"it has {', '.join(tags)}" if tags else f"mirror it first: dandi-mirror sync {dandiset_id(text)}"
        raise UsageError(f"{version}: no such version in {mirror_path}; {have}")
    commit, seconds = dataset.tagged(name)
    with dataset.reader() as reader:
        (content,) = reader.read([f"{commit}:dandiset.yaml"])
    record = orjson.loads(content or b"{}")
    click.echo(Citation.of(record, commit, datetime.fromtimestamp(seconds, UTC)).form(form), nl=False)
