"""Write the metrics of a mirror in Prometheus' text format, for node_exporter's textfile collector."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dandi_mirror.errors import DiskError
from dandi_mirror.files.own import NotOurs, OwnPath, own_path

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


def prometheus_text(mirror: str, run: RunFacts, seen: LastSuccess, words: Mapping[str, int]) -> str:
    """Return the file for Prometheus; ``words`` has the number of the mirror's Dandisets by their status."""
    lines: list[str] = []
    for name, text, samples in _families(run, seen, words):
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


def _labels(labels: Labels) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(value: str) -> str:
    text = value.encode(errors="surrogateescape").decode(errors="replace")
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
