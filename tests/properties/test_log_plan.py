"""Which git-annex logs a sync looks at: every key of which the archive says something new, and what is gone."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from dandi_mirror.mirror.format.log_changes import KeyLogs, changed_logs, key_facts
from dandi_mirror.mirror.format.tree import ExtraKeyUse
from dandi_mirror.mirror.sync.log_plan import RecordChanges, plan_logs, record_changes, remote_logs
from dandi_mirror.model import Instance
from dandi_mirror.repo.annex import logs
from dandi_mirror.repo.annex.logs import Stamp
from tests.support.values import QUICK

API = "https://api.example.org/api"
NUMBERS = st.integers(0, 11)
STAMP = Stamp(10**15)


def asset_id(number: int) -> str:
    return str(UUID(int=number, version=4))


def line(number: int, content: int, *, published: bool = False, name: str = "a.nwb") -> bytes:
    """The canonical record of an asset."""
    metadata: dict[str, Any] = {"digest": {"dandi:sha2-256": f"{content:064x}"}}
    metadata |= {"datePublished": "2024-01-01T00:00:00Z"} if published else {}
    facts = {"asset_id": asset_id(number), "metadata": metadata, "path": f"{number}/{name}", "size": 5}
    return json.dumps(facts, sort_keys=True).encode()


def use(number: int, content: int) -> ExtraKeyUse:
    return ExtraKeyUse(f"SHA256E-s5--{content:064x}.nwb", asset_id(number), None, ())


ASSETS = st.dictionaries(NUMBERS, st.integers(0, 3), max_size=12)


@given(ASSETS, ASSETS)
@QUICK
def test_the_records_that_differ_are_found_and_those_that_agree_are_not(
    old: dict[int, int], new: dict[int, int]
) -> None:
    found = record_changes({line(*pair) for pair in old.items()}, [line(*pair) for pair in new.items()], [])
    assert set(found.gone) == {use(*pair) for pair in old.items() - new.items()}
    assert found.changed == {asset_id(number) for number, _ in new.items() - old.items()}
    assert record_changes([line(*pair) for pair in new.items()], map(line, new, new.values()), []) == RecordChanges()


def test_a_record_counts_as_gone_only_if_the_archive_drops_the_asset_and_git_annex_had_it() -> None:
    lost = [line(1, 1), line(2, 2, published=True), line(3, 3, name="README"), b"no record", b"{}"]
    found = record_changes(lost, [b"no record either"], ["refused"])
    assert found == RecordChanges((use(1, 1),), frozenset({"refused"}))


@given(ASSETS, ASSETS, ASSETS, st.booleans())
@QUICK
def test_a_plan_has_every_key_that_changed_and_with_whole_every_key(
    old: dict[int, int], new: dict[int, int], published: dict[int, int], whole: bool
) -> None:
    changes = record_changes([line(*pair) for pair in old.items()], [line(*pair) for pair in new.items()], [])
    uses = [use(*pair) for pair in new.items()]
    plan = plan_logs([use(*pair) for pair in published.items()], uses, changes, whole=whole)
    gone = {one for one in changes.gone if one.asset_id not in {asset_id(number) for number in {*new, *published}}}
    assert {one for found in plan.before.values() for one in found} == gone
    everything = {one.key for one in uses} | {use(*pair).key for pair in published.items()}
    touched = {use(*pair).key for pair in {*(new.items() - old.items()), *published.items()}}
    touched |= {one.key for one in gone}
    assert plan.now.keys() == (everything if whole else everything & touched)
    # a key that one asset lost has the others that still use it, or its URLs would all be marked dead
    for key, found in plan.now.items():
        assert {one.asset_id for one in uses if one.key == key} <= {one.asset_id for one in found}


def test_a_dataset_that_had_nothing_has_all_its_keys_planned() -> None:
    plan = plan_logs([use(1, 1)], [use(2, 2)], None)
    assert plan.now.keys() == {use(1, 1).key, use(2, 2).key} and not plan.before


def test_the_remote_for_embargoed_content_is_dead_as_soon_as_there_is_no_embargo() -> None:
    none = dict(remote_logs({}, API, STAMP, closed=False))
    assert none.keys() == {"remote.log"}
    assert dict(remote_logs(none, API, STAMP, closed=False)) == {}
    closed = none | dict(remote_logs(none, API, STAMP, closed=True))
    uuid = logs.embargo_remote(API)[0]
    assert uuid.encode() in closed["remote.log"] and "trust.log" not in closed
    after = dict(remote_logs(closed, API, STAMP, closed=False))
    assert after.keys() == {"trust.log"} and after["trust.log"].startswith(f"{uuid} X ".encode())


def test_a_url_at_a_host_that_the_settings_no_longer_name_is_marked_as_not_there() -> None:
    key = KeyLogs.of(use(1, 1).key)
    mine, other = "https://a.example/blobs/x", "https://person.example/x"
    before = {key.urls: f"1s 1 {mine}\n1s 1 {other}\n".encode()}
    instance = Instance("DANDI", API)
    for dropped, there in ((frozenset[str](), True), (frozenset({"a.example"}), False)):
        facts = key_facts(instance, "000123", [use(1, 1)], [], dropped)
        changed = dict(changed_logs(key, facts, before, STAMP))
        present = logs.present(changed[key.urls])
        assert present == {mine: there, other: True, instance.asset_url(asset_id(1)): True}
