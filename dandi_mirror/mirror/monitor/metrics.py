"""Write the metrics of a mirror in Prometheus' text format, for node_exporter's textfile collector."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dandi_mirror.errors import DiskError
from dandi_mirror.files.not_ours import NotOurs
from dandi_mirror.files.own import OwnPath, own_path
from dandi_mirror.mirror.state.remembered import ZarrTotals
from dandi_mirror.mirror.state.verified import Verification

Labels = Mapping[str, str]
Family = tuple[str, str, Iterable[tuple[Labels, float]]]
_BEGINNING = "# HELP dandi_mirror_"


@dataclass(slots=True)
class LastSuccess:
    """Times of the last success, in seconds since 1970; kept in ``.dandi-mirror/log/seen.json``."""

    success: float | None = None
    """The end of the last run that synced every Dandiset that it was asked for; None if there was none."""
    dandisets: dict[str, float] = field(default_factory=dict)
    """When each Dandiset was last synced: the mirror had what the archive had, or named what it lacked."""

    @classmethod
    def read(cls, path: OwnPath) -> LastSuccess:
        """Read the file; empty if it is missing or not readable."""
        try:
            facts = json.loads(path.read())
            times = {str(dandiset): float(time) for dandiset, time in facts["dandisets"].items()}
            return cls(None if facts["success"] is None else float(facts["success"]), times)
        except (OSError, DiskError, ValueError, KeyError, TypeError, AttributeError):
            return cls()

    def as_json(self) -> bytes:
        """Return the content of the file."""
        return json.dumps({"success": self.success, "dandisets": self.dandisets}).encode()


@dataclass(frozen=True, slots=True)
class RunFacts:
    """The numbers of one run."""

    ended: float
    """Seconds since 1970."""
    seconds: float
    exit_code: int
    requests: int
    received: int
    """Bytes of the archive's answers, decoded, without the content that git-annex downloaded."""
    content: int
    """Bytes of content that git-annex downloaded."""
    rescued: int
    """Bytes of these that were leaving the archive."""
    not_rescued: int
    """Bytes that are leaving the archive, and did not come although the settings want that."""
    statuses: Mapping[str, int]
    """Number of Dandisets by status, in DataLad's words."""


def write_metrics(path: Path, text: str) -> None:
    """Write the file for Prometheus, readable for all users; it replaces only a file of the same kind.

    Raises:
        NotOurs: the file that is there holds something else.
        OSError: it cannot be written.
    """
    try:
        with path.open("rb") as file:
            if (found := file.read(len(_BEGINNING))) and found != _BEGINNING.encode():
                raise NotOurs(f"{path} is not a metrics file of dandi-mirror; choose another one: --metrics FILE.prom")
    except FileNotFoundError:
        pass
    own_path(path).replace(text.encode(), mode=0o644)


def prometheus_text(
    mirror: str, run: RunFacts, seen: LastSuccess, words: Mapping[str, int], verified: Mapping[str, Verification],
    zarrs: ZarrTotals,
) -> str:  # fmt: skip
    """Return the file for Prometheus.

    ``words`` has the number of the mirror's Dandisets by their status, ``verified`` the last verification of each,
    ``zarrs`` what all Zarrs are together.
    """
    return families_text(mirror, [*_families(run, seen, words), *_zarr_families(zarrs), *_verified_families(verified)])


def families_text(mirror: str, families: Iterable[Family]) -> str:
    """Return metrics in Prometheus' text format, each sample with the path of the mirror."""
    lines: list[str] = []
    for name, text, samples in families:
        lines += [f"# HELP dandi_mirror_{name} {text}", f"# TYPE dandi_mirror_{name} gauge"]
        lines += [
            f"dandi_mirror_{name}{{{_labels({'mirror': mirror, **labels})}}} {value!r}" for labels, value in samples
        ]
    return "\n".join(lines) + "\n"


def _families(run: RunFacts, seen: LastSuccess, words: Mapping[str, int]) -> list[Family]:
    """Return the metrics: name, help text, and samples."""
    success: list[tuple[Labels, float]] = [] if seen.success is None else [({}, seen.success)]
    return [
        ("last_run_timestamp_seconds", "When the last run ended.", [({}, run.ended)]),
        ("last_success_timestamp_seconds", "When the last run ended that synced every Dandiset.", success),
        ("last_run_exit_code", "Exit code of the last run.", [({}, run.exit_code)]),
        ("last_run_duration_seconds", "How long the last run took.", [({}, run.seconds)]),
        ("last_run_requests", "Requests that the last run made to the archive.", [({}, run.requests)]),
        ("last_run_received_bytes", "Bytes of the answers to these requests.", [({}, run.received)]),
        ("last_run_content_bytes", "Bytes of content that the last run downloaded.", [({}, run.content)]),
        ("last_run_rescued_bytes", "Bytes of these that were leaving the archive.", [({}, run.rescued)]),
        (
            "last_run_not_rescued_bytes",
            "Bytes that are leaving the archive and that rescue did not get.",
            [({}, run.not_rescued)],
        ),
        (
            "last_run_dandisets",
            "Dandisets of the last run by their result.",
            [({"status": status}, count) for status, count in run.statuses.items()],
        ),
        (
            "dandisets",
            "Dandisets of the mirror by their status.",
            [({"word": word}, count) for word, count in words.items()],
        ),
        (
            "dandiset_last_success_timestamp_seconds",
            "When a Dandiset was last synced.",
            [({"dandiset": dandiset}, time) for dandiset, time in sorted(seen.dandisets.items())],
        ),
    ]


def _zarr_families(zarrs: ZarrTotals) -> list[Family]:
    """Return the metrics of the Zarrs in the mirror's drafts."""
    return [
        ("zarrs", "Zarrs of the mirror whose newest state is recorded.", [({}, zarrs.recorded)]),
        ("zarr_entries", "Entries of these Zarrs.", [({}, zarrs.entries)]),
        ("zarr_bytes", "Bytes of these entries.", [({}, zarrs.size)]),
        ("zarrs_pending", "Zarrs whose newest state is not recorded yet.", [({}, zarrs.pending)]),
        (
            "zarrs_without_versions",
            "Zarrs whose entries were listed without the bucket's versions.",
            [({}, zarrs.unversioned)],
        ),
    ]


def _verified_families(verified: Mapping[str, Verification]) -> list[Family]:
    """Return the metrics of the last verification of each Dandiset; none if there was none."""
    if not verified:
        return []
    last = sorted(verified.items())
    return [
        (
            "dandiset_verified_timestamp_seconds",
            "When a Dandiset was last verified, and what was compared.",
            [({"dandiset": dandiset, "how": found.how}, found.ended) for dandiset, found in last],
        ),
        (
            "dandiset_differences",
            "Differences that the last verification of a Dandiset found.",
            [({"dandiset": dandiset}, found.found) for dandiset, found in last],
        ),
    ]


def _labels(labels: Labels) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(value: str) -> str:
    text = value.encode(errors="surrogateescape").decode(errors="replace")
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
