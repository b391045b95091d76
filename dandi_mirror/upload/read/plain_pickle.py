"""Read a pickle of a plain array of plain values, and no other: a pickle may otherwise run any program.

hdmf-zarr pickles the texts of format 2.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
}


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it is pickled, and would run {module}.{name}")
        return super().find_class(module, name)

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it is pickled, and refers to what is not in it")


def load(content: bytes) -> Any:
    """The array that was pickled.

    Raises:
        ValueError: it is something else, or damaged.
    """
    import numpy as np

    try:
        found = _Plain(io.BytesIO(content)).load()
    except Exception as error:
        raise ValueError(f"a text of it cannot be read: {error}") from error
    if not isinstance(found, np.ndarray):
        raise ValueError("a text of it is pickled, and no array")
    return found
