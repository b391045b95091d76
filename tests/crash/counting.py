"""What counts: an attack that came after the end of a run has struck nothing, and is made again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from .world import Outcome

TRIES = 12
"""Of one attack, until it strikes; with more, the campaign is wrong, or the machine."""


def until_struck(wanted: int, attack: Callable[[int, int], Outcome], tries: int = TRIES) -> Iterator[Outcome]:
    """Every outcome of ``attack(number, attempt)``, each number again until it has struck.

    Where one never does, its last outcome is a failure.
    """
    for number in range(wanted):
        for attempt in range(tries):
            outcome = attack(number, attempt)
            if not outcome.struck and attempt == tries - 1:
                outcome.problems.append(f"it did not strike, {tries} times in a row")
            yield outcome
            if outcome.struck:
                break


def table(outcomes: Sequence[tuple[Outcome, float]]) -> str:
    """A line for each kind of attack; only what struck has survived anything."""
    lines = [f"{'attack':<44} {'struck/tried':>12} {'survived':>8} {'failed':>6} {'seconds':>8}"]
    for attack in dict.fromkeys(outcome.attack for outcome, _ in outcomes):
        of_it = [(outcome, took) for outcome, took in outcomes if outcome.attack == attack]
        struck = sum(outcome.struck for outcome, _ in of_it)
        failed = sum(bool(outcome.problems) for outcome, _ in of_it)
        survived = sum(outcome.struck and not outcome.problems for outcome, _ in of_it)
        took = sum(took for _, took in of_it)
        lines.append(f"{attack:<44} {f'{struck}/{len(of_it)}':>12} {survived:>8} {failed:>6} {took:>8.0f}")
    return "\n".join(lines)
