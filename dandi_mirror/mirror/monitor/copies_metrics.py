"""Write the metrics of the copies of a mirror's content."""

from __future__ import annotations

from collections.abc import Iterable

from dandi_mirror.mirror.copies.coverage import Coverage
from dandi_mirror.mirror.monitor.metrics import Family, Labels, families_text


def coverage_text(mirror: str, found: Iterable[Coverage]) -> str:
    """Return the file for Prometheus: of each Dandiset the bytes with so many copies, and when siblings were proved."""
    found = list(found)
    sizes: list[tuple[Labels, float]] = []
    places: list[tuple[Labels, float]] = []
    proved: dict[str, float] = {}
    for one in found:
        for row in one.rows[-1:]:
            sizes += [
                ({"dandiset": one.dandiset, "copies": str(count)}, amount.size)
                for count, amount in enumerate(row.copies)
            ]
            places += [({"dandiset": one.dandiset, "place": name}, at.size) for name, at in row.places.items()]
        proved |= {place.name: place.proved for place in one.places if place.proved is not None}
    leaving = [one for one in found if one.leaving.until]
    families: list[Family] = [
        (
            "copies_leaving_bytes",
            "Bytes that no version names any more, that are not here, and that the archive removes.",
            [({"dandiset": one.dandiset}, one.leaving.size) for one in found if not one.failure],
        ),
        (
            "copies_leaving_timestamp_seconds",
            "When, about, the archive removes the first of them.",
            [({"dandiset": one.dandiset}, min(one.leaving.until.values())) for one in leaving],
        ),
        ("copies_bytes", "Bytes with so many copies; 3 means 3 and more.", sizes),
        ("copies_at_bytes", "Bytes that this mirror (here) and its siblings have, or claim to have.", places),
        (
            "copies_proved_timestamp_seconds",
            "When a challenge last proved a sibling's claims.",
            [({"place": name}, when) for name, when in sorted(proved.items())],
        ),
    ]
    return families_text(mirror, families)
