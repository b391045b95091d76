"""What the pages say about errors, records, the format and files holds."""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest

from dandi_mirror import __version__, canonical, errors, paths
from dandi_mirror.cli.commands.push import push_record
from dandi_mirror.cli.main import EXIT_CODES
from dandi_mirror.mirror.format import admission
from dandi_mirror.mirror.format.records import path_digest
from dandi_mirror.mirror.format.tree import git_attributes
from dandi_mirror.mirror.monitor.status import Status
from dandi_mirror.mirror.push.push import PushResult
from dandi_mirror.mirror.state.remembered import RememberedDandiset
from dandi_mirror.mirror.sync import found_assets, version_reader
from dandi_mirror.model import Finding, FindingKind, Instance, Report
from dandi_mirror.paths import refuse_path
from dandi_mirror.repo.annex import keys, logs
from dandi_mirror.repo.git import process
from dandi_mirror.workflows.sync.reports import report_record
from tests.conftest import run
from tests.support.corpus import FROZEN
from tests.support.pages import FENCE, PAGES, TOP, keys_of, name, page, rows, words

TEXTS = [*PAGES, TOP / "tox.ini", TOP / ".ci" / "run", TOP / "docs" / "conf.py"]


def subclasses(kind: type[errors.MirrorError]) -> Iterator[type[errors.MirrorError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from subclasses(below)


def test_the_table_of_exit_codes_is_that_of_the_errors() -> None:
    assert process.GitError in subclasses(errors.MirrorError)
    used = {kind.exit_code for kind in subclasses(errors.MirrorError)} | {0, click.UsageError.exit_code, 130}
    assert [int(row[0]) for row in rows(page("docs/exit-codes.md"), "## Exit codes")] == sorted(used)
    assert {int(number) for number in re.findall(r"\b\d+\b", EXIT_CODES)} == used - {130}


def test_the_table_of_findings_is_that_of_the_code() -> None:
    table = {words(row[0])[0]: row for row in rows(page("docs/exit-codes.md"), "## Findings")}
    assert list(table) == [str(kind) for kind in FindingKind]
    for kind in FindingKind:
        then = RememberedDandiset("", "all", "", "", (Finding("draft", "", kind, ""),))
        # content is tried again by itself, without another look at the archive
        again = then.unfinished or kind is FindingKind.CONTENT
        assert table[kind][3] == ("yes" if again else "no"), kind
    advice = {words(row[0])[0] for row in rows(page("docs/run-a-mirror.md"), "## When something is reported")}
    assert advice == set(table)


def test_the_keys_of_records_are_those_that_are_described() -> None:
    record = report_record(Report("000004"), Path("mirror"), False)
    assert keys_of("### `sync`") == set(record)
    assert keys_of("A finding:\n") == {field.name for field in fields(Finding)}
    assert keys_of("The last record is the summary:\n") == {
        "action", "status", "ok", "notneeded", "impossible", "error", "exit_code",
    }  # fmt: skip
    assert keys_of("### `push`") == set(push_record(PushResult("000004", "web"), Path("mirror"), False))
    common = {"action", "path", "type", "refds", "status", "message"}
    assert keys_of("### `status`") == common | {field.name for field in fields(Status)}


def test_the_errors_that_are_explained_are_words_of_the_program() -> None:
    source = "".join(file.read_text() for file in sorted((TOP / "dandi_mirror").rglob("*.py")))
    publish = rows(page("docs/publish-a-mirror.md"), "## When something is in the way")
    for row in [*rows(page("docs/run-a-mirror.md"), "### Errors"), *publish]:
        for piece in re.split("…", "…".join(words(row[0]))):
            assert piece.strip() in source, piece


def test_gitattributes_stand_verbatim_in_the_format() -> None:
    blocks = [found[2].encode() for found in FENCE.finditer(page("docs/format.md"))]
    assert git_attributes() in blocks


def test_the_vectors_of_the_format_are_what_the_code_makes() -> None:
    text = page("docs/format.md")
    vectors = {row[0]: words(row[1])[0] for row in rows(text, "## Test vectors")}
    dandi = Instance("DANDI", "https://api.dandiarchive.org/api")
    assert vectors == {
        "id of the superdataset": str(dandi.dataset_id()),
        "id of dataset 000004": str(dandi.dataset_id("000004")),
        "id of dataset 000027": str(dandi.dataset_id("000027")),
        "uuid of the remote `dandiapi`": logs.api_remote(dandi.api_url)[0],
        "SHA-256 of `a/b.nwb`, which decides its part": path_digest("a/b.nwb"),
        **{f"commit of 000004's tag `{version}`": commit for version, commit in FROZEN.items()},
    }
    key = keys.annex_key(0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "a/b.nwb")
    assert keys.link_target(key, 1) in text
    assert f"`{keys.hash_dir_lower(key)}/`" in text


def test_the_canonical_bytes_in_the_format_are_what_the_code_writes() -> None:
    for row in rows(page("docs/format.md"), "## Canonical bytes"):
        value, written = (words(cell)[0] for cell in row)
        assert canonical.dumps(json.loads(value)).decode() == written


BAD_PATHS = [
    *(None, "a\nb", "a\u202eb", "a\ud800b", "a\u2028b", "a\u2029b", "a\u0378b", "a\u3164b", "a\\b", "a//b"),
    *(
        "a/../b",
        "a/" * 600 + "b",
        "a/" * 64 + "b",
        "a" * 256,
        "a/.GIT/b",
        "git~1",
        ".dandi/x",
        "Dandiset.yaml .",
    ),
]
REFUSED = "Refused because of "


def test_the_reasons_in_the_format_are_those_that_are_written() -> None:
    text = re.sub(rf"^{REFUSED}(\w+;? \w+).*$", rf"{REFUSED}\1", page("docs/format.md"), flags=re.MULTILINE)
    named = {word for row in rows(text, f"{REFUSED}its path") for word in words(row[2])}
    given = [re.sub(r"U\+[0-9A-F]+", "U+XXXX", str(refuse_path(path))) for path in BAD_PATHS]
    assert {re.sub(r"the name .* is", "the name NAME is", reason) for reason in given} == named
    source = "".join(map(inspect.getsource, (admission, paths, found_assets, version_reader)))
    for heading in ("its record", "what it", "others; all"):
        for row in rows(text, REFUSED + heading):
            assert words(row[-1])[0].removesuffix(" WHY") in source


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", [path for path in PAGES if path.suffix == ".md"], ids=name)
def test_every_link_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", path.read_text())):
        if re.match(r"https://", target):
            continue
        file, _, anchor = target.partition("#")
        there = path if not file else path.parent / file
        assert there.is_file(), target
        assert not anchor or anchor in anchors(there.read_text()), target


@pytest.mark.parametrize("path", [path for path in PAGES if path.suffix == ".md"], ids=name)
def test_every_file_of_the_project_that_is_named_exists(path: Path) -> None:
    text = path.read_text()
    folders = {"tests", "cron", "docs", *(entry.parent.name for entry in TOP.glob("dandi_mirror/*/*.py"))}
    for span in re.findall(r"`([\w/.-]+)`", text):
        first, slash, _ = span.partition("/")
        if slash and first in folders:
            assert any((base / span).exists() for base in (TOP, TOP / "dandi_mirror")), span


def test_every_module_says_in_its_first_line_what_is_in_it() -> None:
    for file in sorted((TOP / "dandi_mirror").rglob("*.py")):
        said = ast.get_docstring(ast.parse(file.read_text())) or ""
        assert said.split("\n\n")[0].rstrip().endswith("."), f"{file.relative_to(TOP)}: {said[:80]!r}"


def test_the_architecture_names_every_package_and_only_what_is_there() -> None:
    text = page("docs/architecture.md")
    packages = {path.parent.relative_to(TOP / "dandi_mirror") for path in TOP.glob("dandi_mirror/*/**/__init__.py")}
    for package in packages:
        assert f"{package}/" in text or f"`{package}`" in text, package
    named = re.findall(r"`((?:[a-z_]+/)+[a-z_]*(?:\.py)?|[a-z_]+\.py)`", text)
    assert named
    for path in named:
        assert any((base / path).exists() for base in (TOP, TOP / "dandi_mirror")), path


def test_the_page_of_commands_is_that_of_the_commands() -> None:
    made = run(sys.executable, "docs/commands.py", cwd=TOP, env={"PYTHONPATH": str(TOP)}).stdout
    assert made == page("docs/commands.md"), "run: python docs/commands.py >docs/commands.md"


def test_the_citation_names_the_version_of_the_program() -> None:
    assert f"\nversion: {__version__}\n" in page("CITATION.cff")
    assert f"(version {__version__})" in page("docs/help.md")


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_no_page_says_pip_install_dandi_mirror(path: Path) -> None:
    """The name on the package index is not this project's: pages say how to install from a clone."""
    assert not re.search(r"pip install (?:-\S+ )*'?dandi-mirror", path.read_text())


@pytest.mark.parametrize("path", TEXTS, ids=name)
def test_no_page_names_a_place_of_one_machine(path: Path) -> None:
    common = {"bin", "dev", "etc", "lib", "srv", "usr", "var"}
    places = {entry.name for entry in Path("/").iterdir()} - common | {"home", "root", "tmp"}
    found = re.findall(r"(?<![\w.:/<>*~$}-])/([\w.-]+)(?=/|\b)", path.read_text())
    assert not places & set(found)
