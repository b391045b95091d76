"""Refuse arguments that mean nothing before anything is done with them."""

from __future__ import annotations

from collections.abc import Iterable

from dandi_mirror.errors import UsageError

_MOST_JOBS = 256


def check_texts(method: str, values: Iterable[object]) -> None:
    """Refuse paths and ids that are no text, such as an asset or a list.

    Raises:
        TypeError: one is something else.
    """
    for value in values:
        if not isinstance(value, str):
            raise TypeError(
                f"{method} takes text, and this is of the type {type(value).__name__}; of an asset give its path: "
                f"{method}(asset.path), of several: "
                f"{method}(*[asset.path for asset in assets])"
            )


def check_jobs(jobs: int) -> None:
    """Refuse a number of connections with which nothing, or too much, would happen at the same time.

    Raises:
        UsageError: it is such a number.
    """
    if not 1 <= jobs <= _MOST_JOBS:
        raise UsageError(f"jobs={jobs}: write how many files may come at the same time, from 1 to {_MOST_JOBS}")
