"""A mirror's claims are proved by random ranges of its content, and a liar is found."""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dandi_mirror.mirror.copies.challenge import challenges_needed
from tests.support.three_mirrors import DANDISET, NEW, OLD, ThreeMirrors, all_versions, records, sizes

TOTAL = sum(map(len, OLD.values())) + len(NEW["later.nwb"])


def spoil(three: ThreeMirrors, path: str) -> None:
    """Replace content of oxford by other bytes of the same length."""
    file = (three.oxford.path / DANDISET / path).resolve()
    size = file.stat().st_size
    file.parent.chmod(0o755)
    file.unlink()
    file.write_bytes(os.urandom(size))


def test_an_honest_mirror_is_proved_and_a_liar_is_not_believed_until_it_is_honest(three: ThreeMirrors) -> None:
    three.here.cli("fetch")
    lines = three.here.cli("challenge").stdout.splitlines()
    assert lines == [
        "oxford  5 of 5 files looked at; what it has counts as copies",
        "basel  4 of 4 files looked at; what it has counts as copies",
    ]
    assert sizes(all_versions(three.here)) == [0, len(NEW["later.nwb"]), TOTAL - len(NEW["later.nwb"]), 0]
    honest = (three.oxford.path / DANDISET / "sub-1/a.nwb").read_bytes()
    spoil(three, "sub-1/a.nwb")
    done = three.here.cli("challenge", "oxford", code=7)
    assert "1 of 5 claims are wrong, so none of its claims counts now" in done.stderr
    key = three.here.keys()["sub-1/a.nwb"]
    assert key in done.stderr
    assert three.uuid(three.oxford) not in three.here.git("annex", "whereis", f"--key={key}", "--json")
    assert sizes(all_versions(three.here))[2:] == [0, 0], "of the others, none counts"
    three.here.cli("fetch", "oxford")
    assert three.uuid(three.oxford) not in three.here.git("annex", "whereis", f"--key={key}", "--json")
    # whoever runs it mends it
    file = (three.oxford.path / DANDISET / "sub-1/a.nwb").resolve()
    file.write_bytes(honest)
    three.here.cli("challenge", "oxford")
    three.here.cli("fetch", "oxford")
    assert three.uuid(three.oxford) in three.here.git("annex", "whereis", f"--key={key}", "--json")
    assert sizes(all_versions(three.here))[2] > 0


def test_content_that_a_mirror_does_not_have_and_a_mirror_that_is_away_are_different(three: ThreeMirrors) -> None:
    three.here.cli("fetch")
    key = three.here.keys()["sub-0/a.nwb"]
    file = (three.basel.path / DANDISET / "sub-0/a.nwb").resolve()
    file.parent.chmod(0o755)
    file.unlink()
    uuid = three.uuid(three.oxford)
    (three.oxford.path / DANDISET).rename(three.oxford.path / "away")
    done = three.here.cli("challenge", "-f", "json", code=7)
    oxford, basel = records(done.stdout, "challenge")
    assert [(wrong["key"], wrong["message"]) for wrong in basel["wrong"]] == [(key, "no such content")]
    assert (oxford["wrong"], oxford["undecided"], oxford["exit_code"]) == ([], 5, 3)
    assert uuid in three.here.git("annex", "whereis", f"--key={key}", "--json")


def test_a_mirror_behind_a_web_server_is_challenged_too(
    three: ThreeMirrors, http_mirror: tuple[str, list[str]]
) -> None:
    three.know(three.here, {"oxford": http_mirror[0]})
    three.here.cli("fetch")
    assert "5 of 5 files" in three.here.cli("challenge").stdout
    spoil(three, "later.nwb")
    assert "1 of 5 claims" in three.here.cli("challenge", code=7).stderr


@pytest.mark.usefixtures("away")
def test_with_the_archive_away_and_no_content_here_a_file_is_compared_with_its_own_digest(three: ThreeMirrors) -> None:
    three.here.cli("fetch")
    assert "5 of 5" in three.here.cli("challenge", "oxford").stdout
    spoil(three, "sub-2/a.nwb")
    assert "1 of 5 claims" in three.here.cli("challenge", "oxford", code=7).stderr


# --- pure -------------------------------------------------------------------------------------------------------


def test_a_liar_about_a_tenth_is_found_within_66_challenges() -> None:
    assert challenges_needed() == 66
    assert 0.9**66 <= 0.001 < 0.9**65


@given(st.floats(0.01, 0.9), st.floats(1e-6, 0.1))
def test_the_number_of_challenges_is_the_smallest_that_finds_a_liar_so_often(share: float, missed: float) -> None:
    needed = challenges_needed(share, missed)
    assert (1 - share) ** needed <= missed * (1 + 1e-9)
    assert needed == 1 or (1 - share) ** (needed - 1) > missed * (1 - 1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_of_a_thousand_liars_about_a_tenth_at_most_five_are_missed(seed: int) -> None:
    chance = random.Random(seed)
    keys = range(2000)
    lies = set(chance.sample(keys, 200))
    missed = sum(not lies.intersection(chance.sample(keys, challenges_needed())) for _ in range(1000))
    assert missed <= 5
