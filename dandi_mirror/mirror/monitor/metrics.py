"""What Prometheus is told of a mirror, in its text format, for node_exporter's textfile collector."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dandi_mirror.errors import DiskError
from dandi_mirror.files.own import NotOurs, OwnPath, own_path

Labels = Mapping[str, str]
_BEGINNING = "# HELP dandi_mirror_"


@dataclass(slots=True)
class Seen:
    """When things last went well, in seconds since 1970; kept between runs in ``.dandi-mirror/log/seen.json``."""

    success: float | None = None
    """The last run in which every Dandiset that was asked for came through."""
    dandisets: dict[str, float] = field(default_factory=dict)
    """When each Dandiset last came through: the mirror had of it what the archive had, or named what it had not."""

    @classmethod
    def read(cls, path: OwnPath) -> Seen:
        """What is remembered; nothing when the file is not there or not ours."""
        try:
            facts = json.loads(path.read())
            times = {str(dandiset): float(time) for dandiset, time in facts["dandisets"].items()}
            return cls(None if facts["success"] is None else float(facts["success"]), times)
        except (OSError, DiskError, ValueError, KeyError, TypeError, AttributeError):
            return cls()

    def spelled(self) -> bytes:
        """The file's content."""
        return json.dumps({"success": self.success, "dandisets": self.dandisets}).encode()


@dataclass(frozen=True, slots=True)
class RunFacts:
    """One run, in numbers."""

    ended: float
    """Seconds since 1970."""
    seconds: float
    exit_code: int
    requests: int
    received: int
    """Bytes of the answers, decoded; content that git-annex brought is not among them."""
    content: int
    """Bytes of content that git-annex brought."""
    statuses: Mapping[str, int]
    """How many Dandisets had which of DataLad's words."""


def write_metrics(path: Path, text: str) -> None:
    """Write the file for Prometheus, readable by everybody; a file that is there must be one of these.

    Raises:
        NotOurs: it is something else.
        OSError: it cannot be written.
    """
    try:
        with path.open("rb") as file:
            if (found := file.read(len(_BEGINNING))) and found != _BEGINNING.encode():
                raise NotOurs(f"{path} is no file of metrics that dandi-mirror has written; name another: --metrics")
    except FileNotFoundError:
        pass
    own_path(path).replace(text.encode(), mode=0o644)


def prometheus_text(mirror: str, run: RunFacts, seen: Seen, words: Mapping[str, int]) -> str:
    """The file for Prometheus; ``words`` is how many Dandisets of the mirror stand how."""
    success: list[tuple[Labels, float]] = [] if seen.success is None else [({}, seen.success)]
    families: list[tuple[str, str, Iterable[tuple[Labels, float]]]] = [
        ("last_run_timestamp_seconds", "When the last run ended.", [({}, run.ended)]),
        ("last_success_timestamp_seconds", "When a run last ended in which every Dandiset came through.", success),
        ("last_run_exit_code", "Exit code of the last run.", [({}, run.exit_code)]),
        ("last_run_duration_seconds", "How long the last run took.", [({}, run.seconds)]),
        ("last_run_requests", "Answers that the last run asked the archive for.", [({}, run.requests)]),
        ("last_run_received_bytes", "Bytes of these answers.", [({}, run.received)]),
        ("last_run_content_bytes", "Bytes of content that the last run brought.", [({}, run.content)]),
        (
            "last_run_dandisets",
            "Dandisets of the last run by how it ended for them.",
            [({"status": status}, count) for status, count in run.statuses.items()],
        ),
        (
            "dandisets",
            "Dandisets of the mirror by how they stand.",
            [({"word": word}, count) for word, count in words.items()],
        ),
        (
            "dandiset_last_success_timestamp_seconds",
            "When a Dandiset last came through.",
            [({"dandiset": dandiset}, time) for dandiset, time in sorted(seen.dandisets.items())],
        ),
    ]
    lines: list[str] = []
    for name, text, samples in families:
        lines += [f"# HELP dandi_mirror_{name} {text}", f"# TYPE dandi_mirror_{name} gauge"]
        lines += [
            f"dandi_mirror_{name}{{{_labels({'mirror': mirror, **labels})}}} {value!r}" for labels, value in samples
        ]
    return "\n".join(lines) + "\n"


def _labels(labels: Labels) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(value: str) -> str:
    text = value.encode(errors="surrogateescape").decode(errors="replace")
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
