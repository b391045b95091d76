"""What came of a campaign, and the commands that it runs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from tests.conftest import MirrorOfTest, run

PART = 3
"""Some could not be done: what ``hold`` keeps because another mirror does not show it now, and what no mirror has."""


@dataclass
class Outcome:
    """What came of a campaign."""

    rows: dict[str, object] = field(default_factory=dict)
    """For the table."""
    problems: list[str] = field(default_factory=list)
    """What did not hold."""

    def check(self, holds: bool, problem: str) -> None:
        """Note what did not hold."""
        if not holds:
            self.problems.append(problem)


def command(mirror: MirrorOfTest, *words: str, codes: Collection[int] = (0,)) -> tuple[int, str]:
    """Run ``dandi-mirror WORDS`` in a mirror; its exit code, and what it printed."""
    done = run("dandi-mirror", *words, "-d", str(mirror.path), "-i", mirror.server.api_url, code=None)
    said = f"{mirror.path.name}: {' '.join(words)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    assert done.returncode in codes, said
    assert "Traceback" not in done.stderr, said
    return done.returncode, done.stdout
