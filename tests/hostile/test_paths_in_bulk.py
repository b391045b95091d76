"""Thousands of generated paths in one Dandiset: the tree is exactly what was admitted."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from dandi_mirror.embedded import Server
from dandi_mirror.paths import conflicts, refuse_path
from dandi_mirror.repo.annex.keys import annex_key, link_target
from tests.conftest import MirrorOfTest
from tests.support.looking import check_git_takes_it, refused
from tests.support.serving import LARGE, good_entry, once, served
from tests.support.values import PIECES

TAME = [
    "sub-01",
    "sub-02",
    "ses-1",
    "ecephys.nwb",
    "anat",
    "x_ophys.nwb",
    "a",
    "b.tar.gz",
    "raw data",
    "(copy)",
]
LETTERS = "abcXYZ019 ._-~#()[]^`\\+=,&/\n\t\r\x00\x1b\x7f\"'*?:|<>é\u0301日\u200b\u2028\u202e\ufeff\ud800😀"


def generated(count: int, seed: int) -> list[str]:
    """Paths of ordinary and hostile names and letters; some of them more than once."""
    chance = random.Random(seed)

    def name() -> str:
        kind = chance.random()
        if kind < 0.55:
            return chance.choice(TAME) + (f"-{chance.randrange(10**6)}" if chance.random() < 0.7 else "")
        if kind < 0.8:
            return chance.choice(PIECES)
        return "".join(chance.choice(LETTERS) for _ in range(chance.randrange(1, 12)))

    paths = ["/".join(name() for _ in range(chance.randrange(1, 6))) for _ in range(count)]
    return paths + chance.sample(paths, count // 100)


@pytest.mark.parametrize(
    ("count", "seed"),
    [(1500, 1), pytest.param(50_000, 2, marks=pytest.mark.slow)],
)
def test_the_tree_is_what_was_admitted_and_all_else_is_recorded(
    mirror: MirrorOfTest, server: Server, tmp_path: Path, count: int, seed: int
) -> None:
    paths = generated(count, seed)
    entries = [good_entry(path, f"{number} {path}") for number, path in enumerate(paths)]
    served(server, entries)
    report = mirror.sync()
    assert report.exit_code == 3 and report.status == "ok", report.message
    single = {path for path in once(paths) if refuse_path(path) is None}
    # what stands there twice is refused, and then excludes nothing else
    fitting = single - set(conflicts(single))
    assert count / 10 < len(fitting) < count, "both kinds are many"
    wanted = {
        path: link_target(annex_key(LARGE, entry["metadata"]["digest"]["dandi:sha2-256"], path), path.count("/"))
        for path, entry in zip(paths, entries, strict=True)
        if path in fitting
    }
    assert sorted(mirror.asset_paths()) == sorted(wanted)
    assert check_git_takes_it(mirror, tmp_path) == wanted
    left_out = {entry["asset_id"]: entry for entry in entries if entry["path"] not in fitting}
    records = refused(mirror)
    assert records.keys() == left_out.keys() == {finding.asset_id for finding in report.findings}
    for asset_id, record in records.items():
        shown = left_out[asset_id]["path"].encode("utf-8", "backslashreplace").decode()
        assert record["path"] == shown and record["reason"] and json.dumps(record["reason"]).isascii()
    names = {path.name for path in (mirror.path / "000123" / ".dandi" / "refused").iterdir()}
    assert names == {name for asset_id in left_out for name in (asset_id, f"{asset_id}.json")}
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["bare", "clone", "home", "mirror", "strict"]
