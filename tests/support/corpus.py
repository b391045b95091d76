"""Two recorded Dandisets, and the hashes that their mirrors must have."""

from __future__ import annotations

from pathlib import Path

from dandi_mirror.demo.replay import DEMO_HISTORY

HISTORIES = {"000004": DEMO_HISTORY, "000027": Path(__file__).parent.parent / "data" / "000027.json.gz"}
FROZEN = {
    "0.220126.1851": "dfd5df8d60e117f2aa5aa324467fd86fab174ba9",
    "0.220126.1852": "b10c11d30ded051f9bc87c0cc814ca8ea6722027",
}
