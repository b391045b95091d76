"""The catalogue: an archive whose Dandisets differ as DANDI's do, a build of all, of one, and the search in a browser.

``python -m benchmarks.catalogue serve COUNT LARGE ASSETS`` prints its API's URL; ``change K`` on standard input lets K
Dandisets change.
"""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import fleet
from benchmarks.archive import Row, entry
from benchmarks.on_disk import usage
from benchmarks.served import TOP, change_when_told, served

SMALL = 40
"""Assets of an ordinary Dandiset; half of DANDI's have fewer."""
_SYLLABLES = "ka ro mi ten sal vor ing ber lin da ko mar tes qui lo fen har ul sen wick ton ba ne gri"
_AREAS = ["hippocampus", "visual cortex", "striatum", "amygdala", "cerebellum", "thalamus", "prefrontal cortex",
          "entorhinal cortex", "barrel cortex", "olfactory bulb", "superior colliculus", "spinal cord"]  # fmt: skip
_SUBJECTS = ["mice", "rats", "humans", "macaques", "zebrafish", "flies", "ferrets", "songbirds"]
_DOINGS = ["navigation", "decision making", "sleep", "reaching", "fear learning", "object recognition", "whisking",
           "working memory", "vocalisation", "reward prediction", "foraging", "licking"]  # fmt: skip
_METHODS = ["Neuropixels recordings", "Two-photon imaging", "Patch-clamp recordings", "Tetrode recordings", "ECoG",
            "Fibre photometry", "Widefield imaging", "Optogenetic silencing", "Light-sheet microscopy"]  # fmt: skip
_PROSE = """we recorded neurons during behaviour and found that activity of single units in this area predicts choice
across sessions while population dynamics remain stable over days and depend on context reward and arousal data
include spike times local field potentials stimuli and video of the animal with pose estimates"""


def record(number: int) -> dict[str, Any]:
    """What a Dandiset says of itself; no two agree."""
    pick = random.Random(number)

    def name() -> str:
        word = "".join(pick.choices(_SYLLABLES.split(), k=pick.randint(2, 3))).capitalize()
        return f"{word}, {''.join(pick.choices(_SYLLABLES.split(), k=2)).capitalize()}"

    method, area = pick.choice(_METHODS), pick.choice(_AREAS)
    people = [
        {"schemaKey": "Person", "name": name(), "roleName": ["dcite:Author"], "includeInCitation": True,
         "affiliation": [{"schemaKey": "Affiliation", "name": f"University of {name().partition(',')[0]}"}]}
        for _ in range(pick.randint(1, 12))
    ]  # fmt: skip
    words = " ".join(pick.choices(_PROSE.split(), k=150))
    return {
        "name": f"{method} in the {area} of {pick.choice(_SUBJECTS)} during {pick.choice(_DOINGS)}",
        "description": words[:1].upper() + words[1:] + ".",
        "contributor": people,
        "license": ["spdx:CC-BY-4.0"],
        "keywords": [area, *pick.sample(_DOINGS, 2)],
        "about": [{"schemaKey": "Anatomy", "name": area}],
    }


def serve_forever(count: int, large: int, assets: int) -> None:
    """Serve ``count`` Dandisets, the first ``large`` with ``assets`` assets; every third has two versions."""
    from dandi_mirror.embedded import Archive, Dandiset, serve

    archive = Archive(instance_name="DANDI", gzip=False)

    def fill(dandiset: Dandiset, place: int) -> None:
        for number in range(assets if place < large else SMALL):
            dandiset.add_asset(entry=entry(place * 100_000 + number), unchecked=True)
            if place % 3 == 0 and number == 10:
                dandiset.publish("0.240101.0000", created="2024-01-01T00:00:00Z", unchecked=True)
        if place % 3 == 0:
            dandiset.publish("0.240201.0000", created="2024-02-01T00:00:00Z", unchecked=True)
        dandiset.draft.modified = "2024-02-02T00:00:00Z"

    for place in range(count):
        facts = record(place)
        dandiset = archive.create_dandiset(f"{place + 1:06d}", facts["name"], facts, created="2024-01-01T00:00:00Z")
        fill(dandiset, place)
    turns = itertools.cycle(range(large, count))
    with serve(archive) as server:
        change_when_told(server.api_url, lambda: fleet.add_to(archive, next(turns)))


def measure(folder: Path, dandisets: int, assets: int) -> list[Row]:
    """Builds of a catalogue of all Dandisets, of one that changed, and of none."""
    mirror, pages = folder / "mirror", folder / "pages"
    rows: list[Row] = [("", "seconds", "pages written", "bytes of the catalogue")]

    def one(name: str) -> None:
        start = time.monotonic()
        said = _run("catalogue", "build", str(pages), "-d", str(mirror))
        seconds = time.monotonic() - start
        written = said.rpartition(" written")[0].rpartition(" ")[2]
        rows.append((name, f"{seconds:.2f}", written, f"{usage(pages)[1]:,}"))

    with served("catalogue", "serve", dandisets, 3, assets) as archive:
        _run("sync", "--all", "-d", str(mirror), "-i", archive.api_url)
        start = time.monotonic()
        _run("search", "nothing-at-all", "-d", str(mirror))
        rows.append(("the search index", f"{time.monotonic() - start:.2f}", "", ""))
        one("first build")
        one("nothing changed")
        archive.change(1)
        _run("sync", "--all", "-d", str(mirror), "-i", archive.api_url)
        one("one changed")
    return rows + _searches(pages)


def _run(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", "dandi_mirror", *arguments], capture_output=True, text=True, cwd=TOP)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


QUERIES = ["hippocampus", "hipocampus mice", "neuropixels slep", "m00001", "two-photon zebrafish reward", "kar"]
"""Of the search in a browser: with errors, with several words, with a subject, and one that is being typed."""


def _searches(pages: Path) -> list[Row]:
    """How long searches take in Chromium; nothing where there is none."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return [("search: no browser here", "", "", "")]
    rows: list[Row] = []
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        start = time.monotonic()
        page.goto((pages / "index.html").as_uri())
        page.wait_for_selector("html[data-ready]", timeout=120_000)
        rows.append(("the page is ready to search", f"{time.monotonic() - start:.2f}", "", ""))
        for query in QUERIES:
            milliseconds = page.evaluate(
                "async (words) => { const field = document.getElementById('words'); const found = [];"
                " for (let turn = 0; turn < 5; turn++) { catalogue.lastSearch = null; field.value = words;"
                " field.dispatchEvent(new Event('input'));"
                " while (catalogue.lastSearch === null) await new Promise((done) => setTimeout(done, 5));"
                " found.push(catalogue.lastSearch); } return found.sort((a, b) => a - b)[2]; }",
                query,
            )
            told = page.text_content("#found")
            rows.append((f"search {query!r}: {told}", f"{milliseconds / 1000:.4f}", "", ""))
        browser.close()
    return rows


if __name__ == "__main__":
    serve_forever(*map(int, sys.argv[2:]))
