"""The guard against an outage that looks like a deletion, at its boundaries; and the logs that a sync writes."""

from __future__ import annotations

import pytest

from dandi_mirror.errors import UnsafePlan
from dandi_mirror.mirror.format import log_changes
from dandi_mirror.mirror.format.log_changes import (
    KeyFacts,
    KeyLogs,
    changed_logs,
    joined,
    key_facts,
    say_the_same,
    uses_by_key,
)
from dandi_mirror.mirror.format.tree import AnnexLink, ExtraKeyUse
from dandi_mirror.mirror.sync.plan import plan_sync
from dandi_mirror.model import Instance
from dandi_mirror.repo.annex.logs import WEB, Stamp

pytestmark = pytest.mark.quick


def link(number: int, depth: int = 0) -> AnnexLink:
    return AnnexLink(f"SHA256E-s1--{number:064x}.nwb", depth)


def tree(*numbers: int, folder: str = "") -> dict[str, AnnexLink]:
    return {f"{folder}{number:03}.nwb": link(number, folder.count("/")) for number in numbers}


def listed(entries: dict[str, AnnexLink]) -> dict[str, tuple[bytes, str]]:
    return {path: (entry.mode, entry.object_id()) for path, entry in entries.items()}


def is_refused(old: dict[str, AnnexLink], new: dict[str, AnnexLink]) -> bool:
    try:
        plan_sync(listed(old), new).check("000123")
    except UnsafePlan:
        return True
    return False


@pytest.mark.parametrize(
    ("held", "going", "refused"),
    [(40, 20, False), (21, 20, False), (42, 21, False), (41, 21, True), (100, 50, False), (100, 51, True)],
)
def test_over_twenty_assets_that_are_over_half_do_not_go_without_a_question(
    held: int, going: int, refused: bool
) -> None:
    assert is_refused(tree(*range(held)), tree(*range(going, held))) is refused


@pytest.mark.parametrize("held", [1, 2, 20, 21])
def test_not_even_one_asset_goes_if_none_would_be_left(held: int) -> None:
    assert is_refused(tree(*range(held)), {})
    assert not is_refused({}, {})
    with pytest.raises(UnsafePlan, match=rf"000123.* {held} .*--allow-deletes"):
        plan_sync(listed(tree(*range(held))), {}).check("000123")


def test_what_moved_to_another_folder_is_not_gone() -> None:
    old = tree(*range(30))
    assert not is_refused(old, tree(*range(30), folder="a/b/"))
    assert not is_refused(old, tree(*range(20), folder="a/"))
    assert is_refused(old, tree(*range(9), folder="a/")), "21 of 30 are nowhere"
    assert not is_refused(old, tree(*range(10), folder="a/")), "20 are"
    deep = tree(*range(30), folder="a/b/")
    assert not is_refused(deep, tree(*range(30))), "from a folder to the top, as from the top to a folder"
    assert not is_refused(deep, tree(*range(30), folder="c/d/"))
    plan = plan_sync(listed(old), tree(1, 2, folder="a/") | tree(3))
    assert plan.moved() == {"001.nwb", "002.nwb"}
    assert (plan.held, len(plan.gone), plan.empty) == (30, 29, False)


def test_a_plan_names_what_changes_and_nothing_else() -> None:
    old, new = tree(1, 2, 3), tree(2, 4) | {"001.nwb": link(9), "dandiset.yaml": link(7)}
    plan = plan_sync(listed(old) | {".dandi/assets.jsonl": (b"100644", "0" * 40)}, new)
    assert plan.removed == (".dandi/assets.jsonl", "003.nwb")
    assert [path for path, _ in plan.files] == ["001.nwb", "004.nwb", "dandiset.yaml"]
    assert (plan.added, plan.changed, plan.gone) == (("004.nwb",), ("001.nwb",), ("003.nwb",))
    assert plan_sync(listed(old), old).empty
    other_mode = {path: (b"100644", oid) for path, (_, oid) in listed(old).items()}
    assert len(plan_sync(other_mode, old).files) == 3


# --- the logs of git-annex ----------------------------------------------------------------------------------

INSTANCE = Instance("DANDI", "https://api/api")
A, B = (ExtraKeyUse("K", name, f"https://s3/{name}", (("subject", name),)) for name in ("a", "b"))


def test_places_of_a_key_are_kept_once_each() -> None:
    twin = ExtraKeyUse("K", "a", "https://s3/a", (("subject", "a"),))
    other = ExtraKeyUse("L", "c", None, ())
    assert uses_by_key([A, twin, B, other]) == {"K": (A, B), "L": (other,)}
    assert uses_by_key([A, other], {"L"}) == {"L": (other,)}
    one = (A,)
    assert joined(one, twin) is one
    assert say_the_same((A, B), (B, A)) and say_the_same((A,), (A,)) and say_the_same((A,), (twin,))
    assert not say_the_same((A,), (B,)) and not say_the_same((A,), (A, B))


def test_the_facts_of_a_key_are_what_is_alive_and_what_is_no_more() -> None:
    facts = key_facts(INSTANCE, "000123", [A], [B, A])
    assert facts.urls == {"https://api/api/assets/a/download/", "https://s3/a"}
    assert facts.dead == {"https://api/api/assets/b/download/"}
    assert facts.fields == {("subject", "a"), ("dandiset", "000123")}
    assert facts.old_fields == {("subject", "a"), ("subject", "b")}
    assert key_facts(INSTANCE, "000123", [ExtraKeyUse("K", "a", None, ())], []).urls == {
        "https://api/api/assets/a/download/"
    }


def test_new_logs_have_the_place_the_urls_and_the_fields() -> None:
    key = KeyLogs.of("K")
    stamp = Stamp(5_000_000)
    logs = dict(changed_logs(key, key_facts(INSTANCE, "000123", [A], [B]), {}, stamp))
    assert logs == {
        key.location: f"5s 1 {WEB}\n".encode(),
        key.urls: b"5s 1 https://api/api/assets/a/download/\n5s 1 https://s3/a\n",
        key.metadata: b"5s dandiset +000123 subject +a\n",
    }
    assert key.paths == (key.location, key.urls, key.metadata)
    assert list(changed_logs(key, key_facts(INSTANCE, "000123", [A], []), logs, Stamp(6_000_000))) == []


def test_a_url_that_is_no_more_or_has_moved_to_another_host_is_marked_dead() -> None:
    key, stamp = KeyLogs.of("K"), Stamp(5_000_000)
    logs = dict(changed_logs(key, key_facts(INSTANCE, "000123", [A], []), {}, stamp))
    moved = ExtraKeyUse("K", "b", "https://other/a?versionId=1", (("subject", "a"),))
    later = dict(changed_logs(key, key_facts(INSTANCE, "000123", [moved], [A]), logs, Stamp(6_000_000)))
    assert later == {
        key.urls: b"5s 1 https://s3/a\n6s 0 https://api/api/assets/a/download/\n".replace(b"5s 1 https://s3/a\n", b"")
        + b"6s 0 https://s3/a\n6s 1 https://api/api/assets/b/download/\n6s 1 https://other/a?versionId=1\n"
    }


def test_a_persons_own_fields_stay() -> None:
    key = KeyLogs.of("K")
    log = b"5s subject +a mine +x\n"
    facts = KeyFacts(set(), set(), {("subject", "b")}, {("subject", "a")})
    found = dict(
        changed_logs(key, facts, {key.metadata: log, key.location: f"5s 1 {WEB}\n".encode()}, Stamp(6_000_000))
    )
    from dandi_mirror.repo.annex import logs

    assert logs.fields(found[key.metadata]) == {("subject", "b"), ("mine", "x")}
    assert log_changes.ON_THE_WEB == {WEB: True}
    nothing = KeyFacts(set(), set(), set(), {("subject", "a")})
    there = {key.metadata: log, key.location: f"5s 1 {WEB}\n".encode()}
    assert dict(changed_logs(key, nothing, there, Stamp(6_000_000))) == {}, "of what is gone, nothing is known"


def test_the_logs_of_a_key_stand_where_git_annex_looks() -> None:
    assert KeyLogs.of("K") == KeyLogs("K", "a5f/3c6/K.log", "a5f/3c6/K.log.web", "a5f/3c6/K.log.met")


def test_only_the_same_object_at_another_host_has_moved() -> None:
    log = (
        b"5s 1 https://s3/x/a?versionId=1\n5s 1 https://s3/x/b\n5s 0 https://s3/gone\n5s 1 http://p/q?u=https://h/x/a\n"
    )
    assert log_changes._moved(log, {"https://o/x/a", "https://o/gone"}) == {"https://s3/x/a?versionId=1"}
    assert log_changes._moved(log, {"https://s3/x/b", "https://o/other"}) == set()
