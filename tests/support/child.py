"""An upload in a process of its own, which may be killed: ``python -m tests.support.child URL FOLDER``.

Sends and registers all files of FOLDER/files, as an upload does that begins again after a kill.
"""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

from dandi_mirror import digests
from dandi_mirror.archive.http.session import Session
from dandi_mirror.upload.change.register import AssetChange, Registered, register_assets
from dandi_mirror.upload.send.send_files import send_blobs
from dandi_mirror.upload.send.types import Sent, SourceFile
from tests.support.sending import DANDISET, PATIENCE, SMALL_PART, TOKEN


def main(api_url: str, folder: Path) -> None:
    digests.ETAG_PART = SMALL_PART
    files = sorted((folder / "files").iterdir())
    with closing(Session(api_url, TOKEN, PATIENCE)) as session:

        def changes() -> list[AssetChange]:
            made = []
            for done in send_blobs(
                session, [SourceFile(file, file.name, DANDISET) for file in files], folder / "state"
            ):
                assert isinstance(done, Sent), done
                metadata = {"path": done.source.path, "schemaKey": "Asset", "encodingFormat": "application/x-nwb"}
                made.append(AssetChange(metadata, done.blob))
            return made

        for registered in register_assets(session, DANDISET, changes()):
            assert isinstance(registered, Registered), registered


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
