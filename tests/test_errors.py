"""Failures go from one process to another, for example from a cluster's worker to the run, and stay what they are."""

from __future__ import annotations

import importlib
import inspect
import pickle
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import dandi_mirror
from dandi_mirror.errors import MirrorError

SAMPLES = {"str": "words", "int": 404, "Path": Path("folder"), "float": 1.5, "bool": True, "Sequence[Got]": ()}


def failures() -> Iterator[type[MirrorError]]:
    """Every class of failure that a module of the program has."""
    for module in pkgutil.walk_packages(dandi_mirror.__path__, "dandi_mirror."):
        if not module.name.endswith(("__main__", "worker_program")):  # these run when they are imported
            importlib.import_module(module.name)
    kinds = [MirrorError]
    for kind in kinds:
        kinds += [below for below in kind.__subclasses__() if below not in kinds]
    return (kind for kind in kinds if kind.__module__.startswith("dandi_mirror."))


@pytest.mark.quick
def test_every_failure_is_the_same_after_it_went_to_another_process() -> None:
    for kind in failures():
        wanted = inspect.signature(kind.__init__).parameters.values() if "__init__" in vars(kind) else []
        values = [SAMPLES[str(one.annotation)] for one in wanted if one.name != "self"]
        error = kind(*values) if values else kind("what happened")
        error.add_note("where")
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), again.args, vars(again)) == (kind, str(error), error.args, vars(error))
        assert again.exit_code == error.exit_code
