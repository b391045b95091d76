"""The plan of ``hold``: within the pledge, never below the copies that must stay, the same every time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dandi_mirror.mirror.copies.planner import HoldKey, HoldPlan, plan_hold, rank
from tests.support.institutions import ten

UUID = "aaaaaaaa-1111-4111-8111-111111111111"
KEYS = st.lists(
    st.builds(
        HoldKey,
        st.integers(0, 10_000).map("000123/{}".format),
        st.integers(0, 1000),
        st.booleans(),
        st.integers(0, 5),
        st.integers(2019, 2026),
        st.booleans(),
        st.booleans(),
    ),
    unique_by=lambda key: key.name,
    max_size=40,
)
PLEDGE = st.integers(0, 10_000)
COPIES = st.integers(1, 3)


def after(keys: list[HoldKey], plan: HoldPlan) -> list[HoldKey]:
    """The keys when the plan has been carried out."""
    fetched, gone = {key.name for key in plan.fetch}, {key.name for key in plan.give_up}
    return [
        HoldKey(
            key.name, key.size, (key.here or key.name in fetched) and key.name not in gone, key.elsewhere, key.year,
            key.published, key.available or key.name in gone,
        )
        for key in keys
    ]  # fmt: skip


@given(KEYS, PLEDGE, COPIES)
def test_a_plan_is_within_the_pledge_and_gives_up_nothing_that_too_few_others_have(
    keys: list[HoldKey], pledge: int, numcopies: int
) -> None:
    plan = plan_hold(keys, pledge, numcopies, UUID)
    assert all(key.here and key.elsewhere >= numcopies for key in plan.give_up)
    assert all(not key.here and key.available for key in plan.fetch)
    held = sum(key.size for key in after(keys, plan) if key.here)
    assert (plan.held, plan.over) == (held, max(0, held - pledge))
    if plan.over:
        stuck = sum(key.size for key in keys if key.here and key.elsewhere < numcopies)
        assert held == stuck and not [key for key in plan.fetch if key.size], "all that may go has gone"


@given(KEYS, PLEDGE, COPIES)
def test_the_plan_names_each_zarr_that_has_no_room(keys: list[HoldKey], pledge: int, numcopies: int) -> None:
    zarrs = [replace(key, is_zarr=key.size > 500) for key in keys]
    plan = plan_hold(zarrs, pledge, numcopies, UUID)
    assert plan.room == max(0, pledge - plan.held)
    left = {key.name for key in zarrs if key.is_zarr and key.available and not key.here} - {k.name for k in plan.fetch}
    assert {key.name for key in plan.left_out} == left
    assert all(key.size > plan.room for key in plan.left_out)


@given(KEYS, PLEDGE, COPIES)
def test_a_plan_that_was_carried_out_leaves_nothing_to_do(keys: list[HoldKey], pledge: int, numcopies: int) -> None:
    then = after(keys, plan_hold(keys, pledge, numcopies, UUID))
    again = plan_hold(then, pledge, numcopies, UUID)
    assert not again.fetch and not again.give_up


@given(KEYS, PLEDGE, COPIES, st.randoms())
def test_a_plan_does_not_depend_on_the_order_of_the_keys(
    keys: list[HoldKey], pledge: int, numcopies: int, chance: object
) -> None:
    plan = plan_hold(keys, pledge, numcopies, UUID)
    chance.shuffle(keys)  # type: ignore[attr-defined]
    assert plan_hold(keys, pledge, numcopies, UUID) == plan


@given(KEYS, PLEDGE, COPIES)
def test_what_comes_in_place_of_content_has_fewer_copies_than_that(
    keys: list[HoldKey], pledge: int, numcopies: int
) -> None:
    used = sum(key.size for key in keys if key.here)
    plan = plan_hold(keys, pledge, numcopies, UUID)
    if used <= pledge and plan.give_up:
        assert min(key.elsewhere for key in plan.fetch) < max(key.elsewhere for key in plan.give_up)


def test_first_come_few_copies_then_age_then_published_then_size() -> None:
    keys = [
        HoldKey("few", 9, False, 0, 2026, False),
        HoldKey("old", 9, False, 1, 2019, False),
        HoldKey("published", 9, False, 1, 2024, True),
        HoldKey("small", 1, False, 1, 2024, False),
        HoldKey("large", 900, False, 1, 2024, False),
        HoldKey("many", 1, False, 2, 2019, True),
    ]
    assert [key.name for key in sorted(keys, key=lambda key: rank(key, UUID))] == [key.name for key in keys]


def test_mirrors_that_know_the_same_do_not_fetch_the_same() -> None:
    keys = [HoldKey(f"000123/{number}", 10, False, 0, 2024, True) for number in range(100)]
    chosen = [frozenset(key.name for key in plan_hold(keys, 500, 2, f"mirror {number}").fetch) for number in range(10)]
    assert len(set(chosen)) == 10
    assert len(frozenset().union(*chosen)) >= 98, "ten mirrors that fetch half each, together nearly all"


@pytest.mark.parametrize("stale", [False, True])
def test_ten_institutions_hold_two_copies_and_lose_nothing_when_two_and_the_archive_are_gone(stale: bool) -> None:
    simulate(400, stale=stale)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_ten_institutions_do_so_with_a_hundred_thousand_keys(seed: int) -> None:
    simulate(100_000, stale=False, seed=seed)


def simulate(count: int, *, stale: bool, seed: int = 0) -> None:
    world = ten(count, seed)
    for _ in range(40):
        if not world.round(stale=stale) or world.with_copies(2) >= 0.999 * world.possible_twice():
            break
    assert world.with_copies(2) >= 0.95 * world.possible_twice()
    for who, pledge in enumerate(world.pledges):
        assert sum(world.sizes[key] for key in world.held[who]) <= pledge
    world.archive = False
    world.alive -= set(world.chance.sample(sorted(world.alive), 2))
    left = {key for key, copies in enumerate(world.copies()) if copies}
    restored = world.plan(min(world.alive), world.copies(), 2)
    assert {int(key.name) for key in restored.fetch} <= left
    for _ in range(4):
        world.round(stale=stale)
    assert {key for key, copies in enumerate(world.copies()) if copies} == left, "what had a copy elsewhere has one"
