"""A reference file of a Zarr's state, which stock fsspec and zarr open; no input or output.

Version 1 of fsspec's ``ReferenceFileSystem``: the path of each entry, and where its bytes are.  If the bucket
does not give an entry that is named, reading it is an error; what the state does not have is not named, and gives fill
values.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator

from dandi_mirror.archive.zarr_entry import ZarrEntry


def reference_file(entries: Iterable[ZarrEntry], place: Callable[[ZarrEntry], str]) -> Iterator[str]:
    """The text of a reference file, in pieces; ``place`` gives the URL of an entry's content."""
    yield '{"version": 1, "refs": {'
    begin = "\n"
    for entry in entries:
        yield f"{begin}{json.dumps(entry.path)}: {json.dumps([place(entry)])}"
        begin = ",\n"
    yield "\n}}\n"
