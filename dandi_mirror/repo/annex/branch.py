"""Import very many logs into a git-annex branch without the slow path of ``git fast-import``.

fast-import finds a name by searching its folder from the start, and the top of the branch has up to 4,096 folders:
300,000 files cost 600 million comparisons, half of all its work.  So we first import the logs into a separate commit,
with a tree in which no folder has more than sixteen names (``a/b/c`` instead of ``abc``).  Then we put the folders of
that tree into their places on the branch, by their object ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import chain, islice

from dandi_mirror.repo.git.dataset import TEMPORARY
from dandi_mirror.repo.git.importer import Importer
from dandi_mirror.repo.git.stream import FOLDER, Commit, ExistingObject, Inline, quote

MANY = 5000
"""Files; below this number a plain import is as fast."""
MOST_NAMES = 100_000
"""Files for one git; with more, its search for names takes longer than starting another git."""

_STAGE = f"{TEMPORARY}staged-logs"
_MARK = 1


class Stage:
    """Logs that are imported into the separate commit.

    Until :meth:`close`, nothing else may write to the importer.
    """

    def __init__(self, importer: Importer, date: datetime, folders: Mapping[str, str]) -> None:
        """``folders`` are the folders at the top of the branch, with their object ids."""
        self._importer = importer
        self._folders = folders
        self._date = date
        self._touched: dict[str, None] = {}
        self._put = 0
        importer.begin(Commit(_STAGE, date, "staged\n", mark=_MARK))

    def put(self, path: str, content: bytes) -> None:
        """Write a log; its path is below a hash directory."""
        self._put += 1
        if self._put % MOST_NAMES == 0:
            self._importer.end()
            self._importer.restart()
            self._importer.begin(Commit(_STAGE, self._date, "staged\n", f"{_STAGE}^0", mark=_MARK))
        name = path[:3]
        if name not in self._touched:
            self._touched[name] = None
            if name in self._folders:
                self._importer.put("/".join(name), ExistingObject(self._folders[name], FOLDER))
        self._importer.write(quote(_staged(path)), content)

    def remove(self, path: str) -> None:
        """Remove a log that :meth:`put` wrote."""
        self._importer.remove(_staged(path))

    def close(self) -> None:
        """End the commit: all logs are written."""
        self._importer.end()

    def graft(self, commit: Commit, top: Iterable[tuple[str, bytes]]) -> None:
        """Import the branch's commit: its base with the staged folders, and the files ``top`` at the top."""
        made = self._importer.ids(_MARK, ["/".join(name) for name in self._touched])
        folders = ((name, ExistingObject(oid, FOLDER)) for name, oid in zip(self._touched, made, strict=True) if oid)
        self._importer.commit(commit, (), chain(((path, Inline(content)) for path, content in top), folders))


def _staged(path: str) -> str:
    return f"{path[0]}/{path[1]}/{path[2:]}"


def import_logs(
    importer: Importer, commit: Commit, files: Iterable[tuple[str, bytes]], folders: Mapping[str, str]
) -> None:
    """Import a commit of logs (path, content) on top of its base.

    ``folders`` are the folders at the top of the base, with their object ids.
    """
    waiting = iter(files)
    first = list(islice(waiting, MANY))
    if len(first) < MANY:
        importer.commit(commit, (), ((path, Inline(content)) for path, content in first))
        return
    top: list[tuple[str, bytes]] = []
    stage = Stage(importer, commit.date, folders)
    for path, content in chain(first, waiting):
        if "/" in path:
            stage.put(path, content)
        else:
            top.append((path, content))
    stage.close()
    stage.graft(commit, top)
