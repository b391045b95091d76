"""Importing very many files below the hash directories of a git-annex branch, without git's slow path.

fast-import looks a name up by going through its folder from the start, and the branch's top has up to 4,096
folders: 300,000 files cost 600 million comparisons there, half of all its work.  So they are imported into a
commit of its own first, in a tree in which no folder has more than sixteen such names (``a/b/c`` for
``abc``); the folders made there are then put, by their ids, in their places on the branch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice

from dandi_mirror.repo.dataset import TEMPORARY
from dandi_mirror.repo.stream import FOLDER, Commit, Entry, Importer, Inline, Known

MANY = 5000
"""Files; up to here the plain way is as fast."""

_STAGE = f"{TEMPORARY}staged-logs"
_MARK = 1


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
    plain: list[tuple[str, Entry]] = []
    touched: dict[str, None] = {}
    stage = Commit(_STAGE, commit.date, "staged\n", mark=_MARK)
    importer.commit(stage, (), _staged(chain(first, waiting), folders, touched, plain))
    made = importer.ids(_MARK, ["/".join(name) for name in touched])
    grafts = ((name, Known(oid, FOLDER)) for name, oid in zip(touched, made, strict=True))
    importer.commit(commit, (), chain(plain, grafts))


def _staged(
    files: Iterable[tuple[str, bytes]],
    folders: Mapping[str, str],
    touched: dict[str, None],
    plain: list[tuple[str, Entry]],
) -> Iterator[tuple[str, Entry]]:
    """The files as they are staged, each touched folder with what it holds on the branch first.

    Files at the top go to ``plain``.
    """
    for path, content in files:
        name, slash, rest = path.partition("/")
        if not slash:
            plain.append((path, Inline(content)))
            continue
        if name not in touched:
            touched[name] = None
            if name in folders:
                yield "/".join(name), Known(folders[name], FOLDER)
        yield f"{'/'.join(name)}/{rest}", Inline(content)
