"""Settings: where each comes from, what it may be, and which Dandisets the rules choose."""

from __future__ import annotations

import json
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from dandi_mirror.config import VARIABLES, Settings, attribute, read_settings, template
from dandi_mirror.embedded import Archive
from dandi_mirror.errors import UsageError
from dandi_mirror.mirror.sync.filters import Rules
from tests.conftest import MirrorOfTest, run

VALUES = {
    "instance": "linc",
    "versions": "latest",
    "embargoed": "true",
    "jobs": "7",
    "recheck-days": "0",
    "work-tree": "false",
    "prove-days": "60",
    "rescue": "true",
    "rescue-budget": "5 GB",
    "include": "000004 ^mouse",
    "exclude": "000026",
    "get": "*.nwb sub-1/*",
    "get-budget": "1.5GB",
    "get-budget-each": "20000",
    "content-hosts": "a.example.org:8000 B.example.org",
    "metrics": "mirror.prom",
    "keep-runs": "3",
    "cache-size": "3 GB",
    "zarr.repositories": "all",
    "zarr.small-entries": "0",
}


def test_every_setting_has_a_variable_of_its_own_and_a_line_in_the_file() -> None:
    assert [attribute(name) for name in [*VARIABLES, "sibling"]] == [field.name for field in fields(Settings)]
    assert len(set(VARIABLES.values())) == len(VARIABLES)
    simple = template().partition("# [sibling")[0]
    found = tomllib.loads("\n".join(line[2:] for line in simple.splitlines() if in_force(line)))
    tables = {name: value for name, value in found.items() if isinstance(value, dict)}
    names = [name for name in found if name not in tables]
    assert names + [f"{table}.{name}" for table, value in tables.items() for name in value] == list(VARIABLES)


def in_force(line: str) -> bool:
    """Whether a line of the template is a setting, or the head of a table."""
    return line.startswith("# ") and (" = " in line or line.startswith("# ["))


def test_the_template_with_all_its_lines_in_force_can_be_read(tmp_path: Path) -> None:
    simple = template().partition("# [sibling")[0]
    lines = [line[2:] if in_force(line) else line for line in simple.splitlines()]
    (tmp_path / "dandi-mirror.toml").write_text("\n".join(lines))
    settings = read_settings(tmp_path)
    assert settings.exclude == ("000026", r"(?i)\btest\b")
    assert (settings.get_budget, settings.get_budget_each) == (500 * 10**9, 50 * 10**9)


def test_flags_come_before_the_environment_and_that_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dandi-mirror.toml").write_text('jobs = 2\nversions = "draft"\nexclude = ["000001"]\nget = ["a"]\n')
    monkeypatch.setenv("DANDI_MIRROR_JOBS", "3")
    monkeypatch.setenv("DANDI_MIRROR_VERSIONS", "")
    monkeypatch.setenv("DANDI_MIRROR_GET", "b c")
    settings = read_settings(tmp_path)
    assert (settings.jobs, settings.versions, settings.get) == (3, "draft", ("b", "c"))
    typed = settings.with_flags(jobs=4, versions=None, exclude=(), get=("d",), get_budget="2 kB")
    assert (typed.jobs, typed.versions, typed.exclude, typed.get) == (4, "draft", ("000001",), ("d",))
    assert typed.get_budget == 2000


def test_config_shows_each_value_and_where_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / "dandi-mirror.toml").write_text("jobs = 2\n")
    environment = {"DANDI_MIRROR_EXCLUDE": "000001 ^test"}
    done = run("dandi-mirror", "config", "-d", str(tmp_path), "-f", "json", env=environment)
    *shown, summary = map(json.loads, done.stdout.splitlines())
    assert summary["action"] == "summary"
    records = {record["name"]: record for record in shown}
    assert list(records) == [*VARIABLES, "sibling"]
    assert (records["jobs"]["value"], records["jobs"]["source"]) == (2, str(tmp_path / "dandi-mirror.toml"))
    assert (records["exclude"]["value"], records["exclude"]["source"]) == (["000001", "^test"], "DANDI_MIRROR_EXCLUDE")
    assert (records["versions"]["value"], records["versions"]["source"]) == ("all", "default")
    text = run("dandi-mirror", "config", "-d", str(tmp_path), env=environment).stdout
    assert "exclude            000001 ^test                     (DANDI_MIRROR_EXCLUDE)\n" in text
    assert "cache-size         20.0 GB                          (default)\n" in text


def test_config_keeps_its_columns_with_siblings(tmp_path: Path) -> None:
    (tmp_path / "dandi-mirror.toml").write_text('[sibling.www]\nurl = "/srv/www"\n')
    *_, settings, sibling = run("dandi-mirror", "config", "-d", str(tmp_path)).stdout.splitlines()
    assert sibling.startswith("sibling.www ") and sibling.index("/srv/www") == len("exclude            ")
    assert sibling.index("(") == settings.index("("), "in line"


@pytest.mark.parametrize("name", VARIABLES)
def test_every_variable_is_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLES[name], VALUES[name])
    changed = [
        field.name
        for field in fields(Settings)
        if field.name != "sibling" and getattr(read_settings(tmp_path), field.name) != field.default
    ]
    assert changed == [attribute(name)]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("embargoed", "perhaps", "DANDI_MIRROR_EMBARGOED must be true or false"),
        ("jobs", "many", "DANDI_MIRROR_JOBS must be a number"),
        ("jobs", "0", "from 1 to 64"),
        ("keep-runs", "-1", "DANDI_MIRROR_KEEP_RUNS must be a number"),
        ("versions", "newest", "must be one of all"),
        ("include", "(", "'(' is not a regular expression"),
        ("get-budget", "lots", "must be a number of bytes, or as '500 GB'"),
        ("get-budget-each", "-5", "must be a number of bytes"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_the_name_of_its_variable(
    name: str, value: str, says: str, tmp_path: Path
) -> None:
    done = run("dandi-mirror", "sync", "000004", "-d", str(tmp_path / "m"), env={VARIABLES[name]: value}, code=2)
    assert VARIABLES[name] in done.stderr
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("job = 3", "there is no setting 'job'; did you mean 'jobs'?"),
        ("xyzzy = 3", "there is no setting 'xyzzy'; the settings are: instance, versions, "),
        ("jobs = true", "jobs must be a number from 1 to 64"),
        ("jobs = 1.5", "jobs must be a number from 1 to 64"),
        ("jobs = 65", "jobs must be a number from 1 to 64"),
        ('jobs = "4"', "jobs must be a number from 1 to 64"),
        ("recheck-days = 3651", "recheck-days must be a number from 0 to 3650"),
        ("embargoed = 1", "embargoed must be true or false"),
        ("metrics = 1", "metrics must be a string"),
        ("versions = []", "versions must be one of all, published, latest, draft"),
        ('get = "*.nwb"', "get must be a list of strings"),
        ('get = [""]', "get must be a list of strings"),
        ("get = [1]", "get must be a list of strings"),
        ('exclude = ["("]', "exclude: '(' is not a regular expression"),
        ("get-budget = true", "get-budget must be a number of bytes"),
        ('content-hosts = ["https://data.example.org/x"]', "is not a host, as in 'data.example.org', or host:port"),
        ('content-hosts = ["a b"]', "is not a host"),
        ("jobs = ", "it is not TOML: Invalid value"),
        ("jobs = 1\njobs = 2", "it is not TOML: "),
    ],
)
def test_a_line_of_the_file_that_cannot_be_is_refused_with_its_name_and_what_it_must_be(
    text: str, says: str, tmp_path: Path
) -> None:
    (tmp_path / "dandi-mirror.toml").write_text(text)
    with pytest.raises(UsageError) as refused:
        read_settings(tmp_path)
    assert str(refused.value).startswith(f"{tmp_path / 'dandi-mirror.toml'}: ")
    assert says in str(refused.value)


def test_the_name_of_a_sibling_that_is_refused_has_its_own_reason(tmp_path: Path) -> None:
    (tmp_path / "dandi-mirror.toml").write_text('[sibling.web]\nurl = "/a"\n[sibling."a b"]\nurl = "/b"\n')
    siblings = read_settings(tmp_path).sibling
    assert "git-annex has a remote of this name already; choose another name" in siblings["web"].error
    assert siblings["a b"].error.endswith("use letters, digits and dashes for its name")


def test_an_unknown_key_of_a_sibling_is_named_with_the_nearest_and_stops_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "dandi-mirror.toml").write_text('jobs = 2\n[sibling.x]\nurl = "/a"\nprivat = true')
    settings = read_settings(tmp_path)
    assert settings.jobs == 2
    assert "has no setting 'privat'; did you mean 'private'?" in settings.sibling["x"].error


def test_help_does_not_wait_for_the_library_that_checks_settings() -> None:
    code = (
        "import atexit, sys; from dandi_mirror.cli.main import main\n"
        "atexit.register(lambda: print('loaded:', 'msgspec' in sys.modules))\n"
        "sys.argv = ['dandi-mirror', 'sync', '--help']; main()"
    )
    assert run(sys.executable, "-c", code).stdout.endswith("loaded: False\n")


@pytest.mark.parametrize(("text", "size"), [("0", 0), ("1.5 GB", 1_500_000_000), ("2tb", 2 * 10**12), (" 1 kB", None)])
def test_sizes_are_read_as_people_write_them(text: str, size: int | None) -> None:
    if size is not None:
        assert Settings().with_flags(get_budget=text).get_budget == size
        return
    with pytest.raises(UsageError, match="--get-budget must be"):
        Settings().with_flags(get_budget=text)


# --- rules ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("include", "exclude", "taken"),
    [
        ([], [], ["000004", "000027", "000100"]),
        (["000004"], [], ["000004"]),
        (["^0000"], [], ["000004", "000027"]),
        (["mouse"], [], ["000004"]),
        (["(?i)mouse"], [], ["000004", "000027"]),
        ([], ["^Copy of"], ["000004", "000027"]),
        ([], ["000004"], ["000027", "000100"]),
        (["(?i)mouse"], ["000004"], ["000027"]),
        (["000100", "000027"], [], ["000027", "000100"]),
    ],
)
def test_rules_choose_by_id_and_by_name(include: list[str], exclude: list[str], taken: list[str]) -> None:
    names = {"000004": "A mouse", "000027": "Mouse cortex", "000100": "Copy of 000004"}
    rules = Rules(tuple(include), tuple(exclude))
    assert [dandiset for dandiset, name in names.items() if rules.take(dandiset, name)] == taken


def test_what_the_archive_is_silent_about_is_left_out_only_by_its_id() -> None:
    assert Rules(include=("mouse",)).take("000004", None)
    assert Rules(exclude=("mouse",)).take("000004", None)
    assert not Rules(exclude=("^00",)).take("000004", None)


@pytest.fixture
def three(archive: Archive, mirror: MirrorOfTest) -> MirrorOfTest:
    for dandiset, name in (("000001", "A test"), ("000002", "Mouse cortex"), ("000003", "Mouse, for testing")):
        archive.create_dandiset(dandiset, name=name).add_asset(f"{dandiset}.nwb", archive.add_blob(dandiset.encode()))
    return mirror


def test_all_and_a_sync_without_ids_take_what_the_rules_choose(three: MirrorOfTest) -> None:
    done = three.cli("sync", "--all", "-J", "1", "--include", "Mouse", "--exclude", r"\btest")
    assert [line[:6] for line in done.stdout.splitlines()] == ["000002"]
    assert not [request for request in three.server.requests if "000003" in request.path]
    three.cli("sync", "000001")
    three.server.requests.clear()
    three.cli("sync", env={"DANDI_MIRROR_EXCLUDE": "000002"})
    assert len(three.server.requests) == 2
    assert (three.path / "000002").is_dir(), "nothing is removed by a rule"


def test_rules_and_ids_are_not_given_together(three: MirrorOfTest) -> None:
    assert "not both" in three.cli("sync", "000001", "--exclude", "test", code=2).stderr
    three.cli("sync", "000001", env={"DANDI_MIRROR_EXCLUDE": "000001"})
    assert (three.path / "000001").is_dir(), "who names a Dandiset gets it, whatever the settings leave out"
    assert three.server.requests


# --- status of all ----------------------------------------------------------------------------------------


def test_status_of_all_takes_one_listing_for_what_is_mirrored_and_what_is_not(
    archive: Archive, three: MirrorOfTest
) -> None:
    three.cli("sync", "000001", "000002", "-J", "1")
    archive.dandisets["000002"].add_asset("new.nwb", archive.add_blob(b"new"))
    three.server.requests.clear()
    done = three.cli("status", "--all")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["dandiset", "000001", "000002", "000003"]
    lines = {line[:6]: line for line in done.stdout.splitlines()}
    assert "up to date" in lines["000001"]
    assert lines["000001"].endswith("A test")
    assert "behind" in lines["000002"]
    assert "not mirrored" in lines["000003"]
    assert [request.path for request in three.server.requests] == ["/api/info/", "/api/dandisets/"]
    found = three.cli("status", "--all", "-f", "json", env={"DANDI_MIRROR_EXCLUDE": "for testing"}).stdout
    *records, summary = [json.loads(line) for line in found.splitlines()]
    assert summary == {"action": "summary", "status": "ok", "exit_code": 0, "dandisets": 3}
    assert [record["word"] for record in records] == ["up to date", "behind", "left out"]
    assert [record["name"] for record in records] == ["A test", "Mouse cortex", "Mouse, for testing"]


def test_status_of_all_asks_once_more_for_each_that_the_list_has_no_more(archive: Archive, three: MirrorOfTest) -> None:
    three.cli("sync", "000001", "000002", "-J", "1")
    archive.delete_dandiset("000001")
    three.server.requests.clear()
    done = three.cli("status", "--all", code=3)
    assert "000001    gone" in done.stdout
    assert len(three.server.requests) == 3
    assert "leave out" in three.cli("status", "--all", "000001", code=2).stderr


def test_status_of_what_is_mirrored_takes_one_listing_too(three: MirrorOfTest) -> None:
    three.cli("sync", "--all", "-J", "1")
    three.server.requests.clear()
    assert three.cli("status").stdout.count("up to date") == 3
    assert len(three.server.requests) == 2
