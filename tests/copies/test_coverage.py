"""What ``coverage`` counts, and what ``fetch`` believes of other mirrors."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from dandi_mirror.mirror.copies.claims import claims_to_record, why_not_its_own
from dandi_mirror.mirror.copies.table import Place, tabulate
from dandi_mirror.mirror.state.copies import Proof
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.repo.annex.logs import WEB
from tests.conftest import MirrorOfTest, run
from tests.support.three_mirrors import DANDISET, NEW, OLD, VERSION, ThreeMirrors, all_versions, records, sizes
from tests.support.web_server import web_server

A, B, C = (f"{letter * 8}-1111-4111-8111-111111111111" for letter in "abc")
TOTAL = sum(map(len, OLD.values()))


def proved(mirror: MirrorOfTest, *names: str, ended: float = 4e9, failed: int = 0) -> None:
    """Let a mirror remember that siblings were challenged."""
    for name in names:
        Mirror(mirror.path).copies.put_proof(name, Proof(ended, 10, failed, 1000))


def test_content_of_other_mirrors_counts_when_it_was_fetched_and_proved(three: ThreeMirrors) -> None:
    both = TOTAL + len(NEW["later.nwb"])
    assert sizes(all_versions(three.here)) == [both, 0, 0, 0], "nothing is known yet"
    refs = three.here.refs()
    lines = three.here.cli("fetch").stdout.splitlines()
    assert [line.split("  ")[:3] for line in lines] == [
        [DANDISET, "oxford", f"5 files, {both} bytes"],
        [DANDISET, "basel", f"4 files, {TOTAL} bytes"],
    ]
    after = three.here.refs()
    changed = {ref for ref in after if after[ref] != refs.get(ref)}
    assert changed == {
        "refs/heads/git-annex",
        *(f"refs/dandi-mirror/siblings/{name}/logs" for name in ("oxford", "basel")),
    }
    row = all_versions(three.here)
    assert sizes(row) == [both, 0, 0, 0], "nobody has proved anything"
    assert row["places"]["oxford"]["size"] == both
    assert row["archive"]["size"] == both, "the archive has all of it, and counts by itself"
    proved(three.here, "oxford", "basel")
    assert sizes(all_versions(three.here)) == [0, len(NEW["later.nwb"]), TOTAL, 0]
    three.here.cli("sync", "--get", "sub-0/*")
    assert sizes(all_versions(three.here)) == [0, len(NEW["later.nwb"]), TOTAL - 20, 20]
    # stock git-annex sees the same
    (key,) = {key for path, key in three.here.keys().items() if path == "sub-0/a.nwb"}
    whereis = json.loads(three.here.git("annex", "whereis", "--json", f"--key={key}"))["whereis"]
    names = {place["uuid"]: place["description"] for place in whereis}
    assert {three.uuid(mirror) for mirror in (three.here, three.oxford, three.basel)} <= set(names)
    assert "[oxford]" in names[three.uuid(three.oxford)]
    assert three.here.cli("fetch").stdout == "", "nothing has changed since"


def test_coverage_is_a_table_for_people_and_a_file_for_prometheus(three: ThreeMirrors) -> None:
    three.here.cli("fetch", "oxford")
    proved(three.here, "oxford", ended=1.7e9)
    file = three.here.path / "copies.prom"
    lines = three.here.cli("coverage", DANDISET, "--metrics", str(file)).stdout.splitlines()
    assert lines[0] == DANDISET
    assert [line.split()[0] for line in lines[2:5]] == [VERSION, "draft", "all"]
    assert re.fullmatch(
        r"  oxford +226 bytes in 5 files  does not count: not proved for [0-9]+ days  proved on 2023-11-14", lines[6]
    )
    assert not any(line.startswith("  basel") for line in lines), "it was not fetched"
    families = {family.name: family.samples for family in text_string_to_metric_families(file.read_text())}
    found = {sample.labels["copies"]: sample.value for sample in families["dandi_mirror_copies_bytes"]}
    assert found == {"0": 226.0, "1": 0.0, "2": 0.0, "3": 0.0}
    assert three.here.cli("coverage", "--metrics", str(three.here.path / "x.txt"), code=2)


def test_a_mirror_is_fetched_and_not_pushed_to(three: ThreeMirrors) -> None:
    assert "has no sibling to push to" in three.here.cli("push", code=2).stderr
    assert "nothing is pushed there" in three.here.cli("push", "--to", "oxford", code=2).stderr
    assert "names no other mirror 'rome'" in three.here.cli("fetch", "rome", code=2).stderr


def test_a_mirror_whose_folder_is_not_there_or_lost_a_dandiset_is_named(three: ThreeMirrors, tmp_path: Path) -> None:
    three.know(three.here, {"oxford": str(three.oxford.path), "basel": f"{three.basel.path}-mistyped"})
    done = three.here.cli("fetch", code=3)
    assert done.stdout.startswith(f"{DANDISET}  oxford  ")
    assert done.stderr == (
        f"basel  {three.basel.path}-mistyped has none of the Dandisets of this mirror; is its url right, and is its "
        "disk there?\n"
    )
    other = three.archive.create_dandiset("000124", name="another")
    other.add_asset("x.nwb", three.archive.add_blob(b"x"))
    for mirror in (three.here, three.oxford):
        mirror.cli("sync", "000124")
    three.here.cli("fetch", "oxford")
    (three.oxford.path / "000124").rename(tmp_path / "away")
    told = "oxford  it had 000124 at the last fetch, and does not have that any more; ask whoever runs it\n"
    assert three.here.cli("fetch", "oxford", code=3).stderr == told
    (record,) = records(three.here.cli("fetch", "oxford", "-f", "json", code=3).stdout, "fetch")[-1:]
    assert (record["source"], record["dandiset"], record["exit_code"]) == ("oxford", "", 3)


def test_what_git_annex_finds_nowhere_is_named_without_its_hint_about_remotes(three: ThreeMirrors) -> None:
    three.archive.create_dandiset("000125", name="another").add_asset("x.nwb", three.archive.add_blob(b"x"))
    three.here.cli("sync", "000125")
    told = three.here.cli("restore", "000125@draft", code=3).stderr
    assert told.endswith("x.nwb: no other repository that was asked has it\n")
    assert "annex-ignore" not in told


def test_of_a_hostile_mirror_only_lines_about_itself_are_believed(three: ThreeMirrors) -> None:
    key = three.here.keys()["later.nwb"]
    evil = three.oxford
    urls = three.here.urls(key)
    for uuid in (three.uuid(three.basel), three.uuid(three.here), A):
        evil.git("annex", "setpresentkey", key, uuid, "1")
    evil.git("annex", "registerurl", key, "http://169.254.169.254/latest")
    evil.git("annex", "dead", "here")
    unknown = "SHA256E-s5--" + "0" * 64
    evil.git("annex", "setpresentkey", unknown, three.uuid(evil), "1")
    evil.git("annex", "merge")
    three.here.cli("fetch", "oxford")
    found = json.loads(three.here.git("annex", "whereis", "--json", f"--key={key}"))
    assert {place["uuid"] for place in found["whereis"]} == {WEB, three.uuid(evil)}
    assert three.here.urls(key) == urls
    assert "trust.log" not in three.here.tree("git-annex")
    assert not [path for path in three.here.tree("git-annex") if unknown in path]
    remote = dict(
        line.split(" ", 1) for line in three.here.git("config", "--get-regexp", r"remote\.oxford").splitlines()
    )
    assert "git-annex" not in remote["remote.oxford.fetch"], "a git fetch brings no branch that git-annex would merge"


@pytest.mark.parametrize("claimed", ["basel", "here", "web", "none"])
def test_a_mirror_that_takes_the_name_of_another_is_refused(three: ThreeMirrors, claimed: str) -> None:
    three.here.cli("fetch", "basel")
    taken = {"basel": three.uuid(three.basel), "here": three.uuid(three.here), "web": WEB, "none": "x y"}[claimed]
    three.oxford.git("config", "annex.uuid", taken)
    before = three.here.refs()
    done = three.here.cli("fetch", "oxford", code=7)
    assert "nothing of it was taken" in done.stderr
    assert three.here.refs() == before


def test_a_remote_of_a_person_is_left_alone(three: ThreeMirrors) -> None:
    three.here.git("remote", "add", "oxford", "/somewhere")
    assert "remote oxford that fetch did not make" in three.here.cli("fetch", "oxford", code=3).stderr
    assert three.here.git("remote", "get-url", "oxford") == "/somewhere"


def test_a_mirror_that_was_made_anew_loses_what_the_old_one_had(three: ThreeMirrors) -> None:
    three.here.cli("fetch", "oxford")
    old = three.uuid(three.oxford)
    run("rm", "-rf", str(three.oxford.path))
    three.oxford.cli("sync", DANDISET)
    three.here.cli("fetch", "oxford")
    for key in three.here.keys().values():
        assert old not in three.here.git("annex", "whereis", f"--key={key}", "--json")


def test_a_mirror_whose_folder_git_cannot_read_over_http_is_told_what_its_people_have_to_type(
    three: ThreeMirrors,
) -> None:
    with web_server(three.oxford.path) as (url, _):
        three.know(three.here, {"oxford": url})
        said = three.here.cli("fetch", code=3).stderr
    assert f"{url}/{DANDISET}/.git: the web server shows no list of branches; whoever runs that mirror has to " in said
    assert "after each run: git update-server-info" in said


def test_a_mirror_over_http_is_fetched_from_that_address_only(
    three: ThreeMirrors, http_mirror: tuple[str, list[str]]
) -> None:
    url, asked = http_mirror
    three.know(three.here, {"oxford": url})
    three.here.cli("fetch")
    assert all_versions(three.here)["places"]["oxford"]["keys"] == 5
    assert any(path.endswith("/.git/config") for path in asked)


# --- pure -------------------------------------------------------------------------------------------------------

KEYS = [f"SHA256E-s{number}--{number:064x}.nwb" for number in range(1, 7)]
UUIDS = st.sampled_from([A, B, C, WEB])
LOCATIONS = st.dictionaries(st.sampled_from(KEYS), st.frozensets(UUIDS))


@given(
    LOCATIONS,
    st.dictionaries(st.sampled_from(["0.240101.0000", "draft"]), st.sets(st.sampled_from(KEYS))),
    st.booleans(),
)
def test_each_key_of_a_version_is_in_one_column_and_only_places_that_count_make_copies(
    locations: dict[str, frozenset[str]], versions: dict[str, set[str]], counts: bool
) -> None:
    places = [Place("here", A), Place("oxford", B, counts=counts)]
    for row in tabulate(versions, locations, places, {WEB}):
        keys = versions.get(row.version, set().union(*versions.values()))
        assert sum(amount.keys for amount in row.copies) == row.total.keys == len(keys)
        most = {key: len(locations.get(key, frozenset()) & ({A, B} if counts else {A})) for key in keys}
        for count, amount in enumerate(row.copies):
            assert amount.keys == sum(found == count for found in most.values())
        assert row.archive.keys == sum(WEB in locations.get(key, ()) for key in keys)


@given(LOCATIONS, LOCATIONS, st.sets(st.sampled_from(KEYS)))
def test_after_a_fetch_our_logs_say_what_the_mirror_says_of_itself_and_nothing_else(
    ours: dict[str, frozenset[str]], theirs: dict[str, frozenset[str]], struck: set[str]
) -> None:
    changes = claims_to_record(ours, theirs, B, struck)
    assert set(changes) <= set(ours)
    for key, places in ours.items():
        assert changes.get(key, B in places) == (B in theirs.get(key, ()) and key not in struck)


def test_a_uuid_is_refused_that_is_none_or_somebody_elses() -> None:
    assert why_not_its_own("", {}) and why_not_its_own("x", {}) and why_not_its_own(WEB, {})
    assert why_not_its_own(B, {B: "this mirror"}) == "it says that it is this mirror"
    assert why_not_its_own(B, {A: "this mirror"}) == ""
