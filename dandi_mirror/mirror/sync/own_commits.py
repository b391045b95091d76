"""Commits of a person on the branch that a sync keeps: what to say about them, and what keeps them."""

from __future__ import annotations

from dandi_mirror.mirror.sync import messages
from dandi_mirror.repo.git import history
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.process import EMAIL
from dandi_mirror.text import quoted


def own_commits(dataset: Dataset, branch: str) -> str:
    """What to say about a branch whose newest commit no sync made, with what to type; empty if a sync made it."""
    tip = dataset.ref(f"refs/heads/{branch}")
    if not tip or messages.TRAILER in dataset.message(tip):
        return ""
    git = f"git -C {quoted(dataset.path)}"
    said = f"its branch {branch} has commits that no sync made; keep them on a branch of your own:"
    said += f" {git} branch mine {tip[:10]}"
    made = history.last_by(dataset, EMAIL, messages.TRAILER_LINE, tip=tip)[:10]
    if not made:
        return said
    back = f"reset --keep {made}" if dataset.head_branch() == branch else f"branch --force {branch} {made}"
    return f"{said}, then take {branch} back to the last sync: {git} {back}"
