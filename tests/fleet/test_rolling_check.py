"""Each Dandiset is read whole now and then, whatever the archive says."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from dandi_mirror.embedded import Archive
from dandi_mirror.mirror.sync.recheck import DAY, due
from tests.conftest import MirrorOfTest
from tests.support.fleet import asked, set_verified


def test_a_dandiset_that_was_not_read_for_a_week_is_read_in_full_and_then_not_again(
    archive: Archive, many: MirrorOfTest
) -> None:
    many.cli("sync", "--all")
    modified = archive.dandisets["000002"].draft.modified
    archive.dandisets["000002"].delete_asset("a.nwb")
    archive.dandisets["000002"].add_asset("c.nwb", archive.add_blob(b"c00002"))
    archive.dandisets["000002"].draft.modified = modified  # the archive moves no timestamp
    set_verified(many, "000002", time.time() - 8 * DAY)
    asked(many)
    assert many.cli("sync", "--all", "--recheck-days", "0").stdout == ""
    (many.path / "dandi-mirror.toml").write_text("recheck-days = 9\n")
    assert many.cli("sync", "--all").stdout == ""
    assert set(asked(many)) == {"info/", "dandisets/"}
    (many.path / "dandi-mirror.toml").unlink()
    assert many.cli("sync", "--all").stdout.startswith("000002  2 files")
    assert not [path for path in asked(many) if path not in {"info/", "dandisets/"} and "000002" not in path]
    many.cli("sync", "--all")
    assert asked(many) == ["info/", "dandisets/"]


@given(
    count=st.integers(1, 60), hours=st.floats(0.1, 60), days=st.integers(1, 10), began=st.floats(0, DAY),
    spread=st.floats(0, 1),
)  # fmt: skip
def test_each_is_read_once_in_the_period_and_the_work_is_even(
    count: int, hours: float, days: int, began: float, spread: float
) -> None:
    now, step, period = began + DAY * days, hours * 3600, days * DAY
    verified = {f"{number:06d}": now - spread * period * number / count for number in range(count)}
    for _ in range(40):
        now += step
        taken = due(verified, now, days)
        assert len(taken) <= count * step / period + 2
        assert all(verified[one] <= verified[other] for one in taken for other in verified.keys() - taken)
        verified.update(dict.fromkeys(taken, now))
        assert all(now - then <= period for then in verified.values())


def test_a_time_in_the_future_is_as_good_as_never_and_no_days_are_never() -> None:
    now = 20_000 * DAY
    assert due({"000001": now + DAY, "000002": now}, now, 7) == {"000001"}
    assert due({"000001": 0.0}, 100 * DAY, 0) == set()
    assert due({}, DAY, 7) == set()
