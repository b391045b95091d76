"""Which content a blob of the archive has: by the URLs on the git-annex branches, which the search index remembers.

Asset records do not name blobs.  What has changed on a branch is read when somebody asks for a blob, not before.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from uuid import UUID

from dandi_mirror.errors import MirrorError
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.repo.annex.keys import sha256_of
from dandi_mirror.repo.git.changes import changes
from dandi_mirror.repo.git.dataset import ANNEX, Dataset
from dandi_mirror.repo.git.process import GitError

TABLES = (
    "CREATE TABLE blob (id BLOB, sha256 BLOB, PRIMARY KEY (id, sha256)) WITHOUT ROWID",
    "CREATE TABLE blobs_read (dandiset TEXT PRIMARY KEY, annex TEXT) WITHOUT ROWID",
)
NAMES = ("blob", "blobs_read")
_BLOB = re.compile(rb"/blobs/[0-9a-f]{3}/[0-9a-f]{3}/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b")
_WEB = ".log.web"


def digests_of_blob(database: sqlite3.Connection, mirror: Mirror, blob_id: str) -> list[str]:
    """Return the SHA-256 of a blob; the ``database`` is brought up to date first, if it can be written.

    Raises:
        GitError: git failed.
    """
    unread = []
    read = dict(database.execute("SELECT dandiset, annex FROM blobs_read").fetchall())
    for dandiset in mirror.dandisets():
        annex = None if mirror.is_strange(dandiset) else mirror.ref(dandiset, ANNEX)
        if annex and read.get(dandiset) != annex:
            try:
                with database:
                    _update(database, mirror.dataset(dandiset), dandiset, read.get(dandiset), annex)
            except (sqlite3.Error, MirrorError):
                unread.append(dandiset)
    rows = database.execute("SELECT sha256 FROM blob WHERE id = ?", [UUID(blob_id).bytes]).fetchall()
    found = {digest.hex() for (digest,) in rows}
    for dandiset in [] if found else unread:
        from dandi_mirror.repo.annex.content import keys_at  # imported late: it is seldom needed

        keys = keys_at(mirror.dataset(dandiset).path, f"/{blob_id}")
        found |= {digest for key in keys if (digest := sha256_of(key))}
    return sorted(found)


def _update(database: sqlite3.Connection, dataset: Dataset, dandiset: str, before: str | None, annex: str) -> None:
    """Add what the git-annex branch has got since the commit ``before``."""
    # first, so that a database that cannot be written costs no reading
    database.execute("INSERT OR REPLACE INTO blobs_read VALUES (?, ?)", [dandiset, annex])
    logs = _logs(dataset, before, annex)
    with dataset.reader() as reader:
        contents = zip(logs, reader.read(list(logs.values()), instead=b""), strict=True)
        rows = (
            (UUID(found.decode()).bytes, bytes.fromhex(digest))
            for path, content in contents
            if (digest := sha256_of(path.rpartition("/")[2].removesuffix(_WEB)))
            for found in _BLOB.findall(content or b"")
        )
        database.executemany("INSERT OR IGNORE INTO blob VALUES (?, ?)", rows)


def _logs(dataset: Dataset, before: str | None, annex: str) -> dict[str, str]:
    """Path → object id of the URL logs that are new or changed since ``before``."""
    if before:
        try:
            return dict(_changed(dataset, before, annex))
        except GitError:
            pass  # the branch was made anew, and the old commit is gone
    return {path: oid for path, (_, oid) in dataset.tree(annex).items() if path.endswith(_WEB)}


def _changed(dataset: Dataset, before: str, annex: str) -> Iterator[tuple[str, str]]:
    for change in changes(dataset, "diff-tree", "-r", before, annex):
        path = change.path.decode(errors="surrogateescape")
        if change.status != b"D" and path.endswith(_WEB):
            yield path, change.new[1].decode()
