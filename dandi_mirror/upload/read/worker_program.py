"""The program of the worker: the only place that imports dandi.

Its arguments are the limits, as JSON, and a folder that was made for it, which it removes at its end.
Requests come as JSON Lines on standard input, answers go as JSON Lines to what was standard output.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from dandi_mirror.upload.read.asking import Parent
from dandi_mirror.upload.read.findings import findings, is_nwb, short_message, why_not_hdf5
from dandi_mirror.upload.read.nwb_names import nwb_facts, nwb_names, rewrite_media
from dandi_mirror.upload.read.preview import preview_file, preview_of_blocks
from dandi_mirror.upload.read.preview_zarr import preview_of_zarr

Request = Mapping[str, Any]


_GRACE = 10.0
"""Seconds after which it ends by itself, if nobody has ended it."""
_NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.bind")


def main() -> bool:
    """Answer until standard input ends, or something else does; whether it was the input."""
    limits = json.loads(sys.argv[1])
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    _limit(limits)
    try:
        import dandi.files
        import dandi.metadata.nwb

        # dandi reads what an NWB file says, and what its BIDS dataset says about it, in turn (NWBBIDSAsset);
        # but its reader of NWB would ask for the dataset by itself, which asks that reader again, and so on
        dandi.metadata.nwb.find_bids_dataset_description = lambda *_: None
    except Exception as error:
        _say(answers, {"error": short_message(error)})
        return False
    _say(answers, {"value": "ready"})
    parent = Parent(sys.stdin.buffer, answers)
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        _allow_writing(None if asked["writes"] else limits["written"])
        # whoever asked may be gone; Python itself may be held up in a library
        signal.setitimer(signal.ITIMER_REAL, limits["seconds"] + _GRACE)
        answer = _answered({**asked, "ask": parent.ask})
        signal.setitimer(signal.ITIMER_REAL, 0)
        _say(answers, answer)
        if answer.get("ends"):
            return False
    return True


def _limit(limits: Mapping[str, Any]) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (limits["memory"], limits["memory"]))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits["files"], limits["files"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.addaudithook(_no_network)


def _allow_writing(size: int | None) -> None:
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard if size is None else size, hard))


def _no_network(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _NETWORK:
        raise PermissionError("the reader of files has no network")


def _say(answers: Any, answer: object) -> None:
    # half surrogates in a path are escaped as JSON can
    answers.write(json.dumps(answer, ensure_ascii=True, default=str).encode() + b"\n")
    answers.flush()


def _answered(asked: Request) -> dict[str, Any]:
    try:
        return {"value": _ANSWERS[asked["what"]](asked)}
    except MemoryError:
        # what is left of it may be broken
        print("out of memory", file=sys.stderr, flush=True)
        return {"error": "reading it takes more memory than it may have", "ends": True}
    except Exception as error:
        import traceback

        traceback.print_exc()
        return {"error": short_message(error)}


# --- metadata ----------------------------------------------------------------------------------------------------


def _schema_version(asked: Request) -> str:
    from dandischema.models import get_schema_version

    return str(get_schema_version())


def _asset_metadata(asked: Request) -> dict[str, Any]:
    from dandi.misctypes import Digest

    asset = _asset(asked)
    digests = asked["digests"]
    etag = digests.get("dandi:dandi-etag")  # a Zarr has none
    if is_nwb(asset) and (reason := why_not_hdf5(asked["file"])):
        raise ValueError(reason)
    record = asset.get_metadata(digest=Digest.dandi_etag(etag) if etag else None, ignore_errors=False)
    metadata: dict[str, Any] = record.model_dump(mode="json", exclude_none=True)
    metadata |= {"path": asked["path"], "schemaKey": "Asset", "digest": metadata.get("digest", {}) | digests}
    return _fitting(metadata, asked["schema"])


def _fitting(metadata: dict[str, Any], wanted: str) -> dict[str, Any]:
    """A record at a version of the schema that an archive of version ``wanted`` takes."""
    from dandischema.consts import ALLOWED_TARGET_SCHEMAS
    from dandischema.metadata import migrate
    from packaging.version import Version

    have = metadata["schemaVersion"]
    if not wanted or Version(wanted) >= Version(have):
        return metadata
    if wanted in ALLOWED_TARGET_SCHEMAS:
        return dict(migrate(metadata, to_version=wanted, skip_validation=True))
    if Version(wanted).release[:2] == Version(have).release[:2]:
        return metadata
    raise ValueError(f"the archive's schema is {wanted}, and dandi here writes {have}; install an older dandi")


def _asset(asked: Request) -> Any:
    """The file as dandi sees it, with the BIDS dataset that it is in."""
    from dandi.files import dandi_file

    file, root = Path(asked["file"]), Path(asked["root"])
    if not file.is_relative_to(root):
        found = dandi_file(file)
        found.path = asked["path"]
        return found
    return dandi_file(file, root, bids_dataset_description=_bids(file, root))


_DATASETS: dict[Path, Any] = {}
"""BIDS datasets, each read once."""


def _bids(file: Path, root: Path) -> Any:
    """The description of the outermost BIDS dataset that a file is in; None for itself, and for none."""
    from dandi.files import dandi_file

    folders = [folder for folder in file.parents if folder.is_relative_to(root)]
    for folder in reversed(folders):
        description = folder / "dataset_description.json"
        if os.path.lexists(description):
            if description == file:
                return None
            if folder not in _DATASETS:
                _DATASETS[folder] = dandi_file(description, root)
            return _DATASETS[folder]
    return None


_ANSWERS: Mapping[str, Callable[[Request], Any]] = {
    "schema_version": _schema_version,
    "asset_metadata": _asset_metadata,
    "nwb_facts": nwb_facts,
    "nwb_names": nwb_names,
    "rewrite_media": rewrite_media,
    "findings": lambda asked: findings(_asset(asked), asked),
    "preview": preview_file,
    "preview_of_blocks": preview_of_blocks,
    "preview_of_zarr": preview_of_zarr,
}


def _run() -> NoReturn:
    if main():
        # whoever asked may have been killed, and this folder was made for this process alone
        made = Path(sys.argv[2])
        shutil.rmtree(made, ignore_errors=True)
        with suppress(OSError):
            made.parent.rmdir()
    # no library may have a word in how this ends
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    _run()
