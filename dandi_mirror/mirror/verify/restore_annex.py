"""Restore the logs and the content of git-annex in a dataset."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

from dandi_mirror.mirror.format.admission import ContentHosts
from dandi_mirror.mirror.verify.annex_logs import LINE
from dandi_mirror.mirror.verify.content import held_content, is_content_whole
from dandi_mirror.repo.annex import content, logs
from dandi_mirror.repo.annex.branch import import_logs
from dandi_mirror.repo.annex.logs import Stamp
from dandi_mirror.repo.git.dataset import ANNEX, TEMPORARY, Dataset, RefChange
from dandi_mirror.repo.git.process import git
from dandi_mirror.repo.git.stream import Commit

_KEY_OF_LOG = re.compile(r"[0-9a-f]{3}/[0-9a-f]{3}/(.+)\.log(?:\.web)?")


def restore_logs(dataset: Dataset, paths: Iterable[str], hosts: ContentHosts, now: datetime) -> None:
    """Take lines that cannot be read out of logs, and mark URLs of other hosts as dead; a sync adds what is missing.

    Raises:
        GitError, DiskError: the branch cannot be written.
    """
    commit_journal(dataset)
    annex = dataset.ref(ANNEX)
    names = sorted(path for path in set(paths) if _KEY_OF_LOG.fullmatch(path))
    if annex is None or not names:
        return
    with dataset.reader() as reader:
        old = dict(zip(names, reader.read([f"{annex}:{name}" for name in names]), strict=True))
    changed = {name: new for name, log in old.items() if log and (new := _restored(name, log, hosts, now)) != log}
    if not changed:
        return
    commit = Commit(f"{TEMPORARY}git-annex", now, "update\n", base=annex)
    with dataset.importing() as importer:
        import_logs(importer, commit, changed.items(), dataset.folders(annex))
        importer.finish()
        dataset.move_refs([RefChange(ANNEX, dataset.refs()[f"{TEMPORARY}git-annex"], annex)])
        dataset.drop_refs([f"{TEMPORARY}git-annex"])


def _restored(name: str, log: bytes, hosts: ContentHosts, now: datetime) -> bytes:
    kept = b"".join(line + b"\n" for line in log.split(b"\n") if LINE.fullmatch(line))
    if not name.endswith(".web"):
        return kept
    urls: Mapping[str, bool] = logs.present(kept)
    foreign = {url: False for url, there in urls.items() if there and not hosts.admits(url)}
    return logs.with_presence(kept, Stamp.of(now), foreign) if foreign else kept


def restore_content(dataset: Dataset, uuid: str) -> list[str]:
    """Take damaged content away, get anew what was here, and let the location logs say what is here.

    Damaged content is kept in ``.git/annex/bad``, as ``git annex fsck`` keeps it.

    Returns:
        the keys that were to be here, and whose content did not come.

    Raises:
        GitError, DiskError: git-annex failed.
    """
    here, bad = set[str](), set[str]()
    for held in list(held_content(dataset.git_dir)):
        if is_content_whole(held):
            here.add(held.key)
        else:
            _take_away(dataset, held.file)
            bad.add(held.key)
    said = set(_keys_said_here(dataset, uuid))
    wanted = sorted((said | bad) - here)
    missing = [key for key, why in content.get(dataset.path, wanted, None) if why] if wanted else []
    # only now: while the logs say that content is here, a repair that follows a killed one asks for it again
    wrong = [f"{key} {uuid} 0" for key in missing if key in said] + [f"{key} {uuid} 1" for key in sorted(here - said)]
    if wrong:
        git(dataset.path, "annex", "setpresentkey", "--batch", stdin="".join(f"{line}\n" for line in wrong).encode())
        commit_journal(dataset)
    return missing


def commit_journal(dataset: Dataset) -> None:
    """Let git-annex commit what waits in its journal, which otherwise counts before its branch.

    Raises:
        GitError, DiskError: git-annex failed.
    """
    git(dataset.path, "annex", "merge", "--quiet")


def _keys_said_here(dataset: Dataset, uuid: str) -> list[str]:
    """The keys of which the location logs say that they are here."""
    tree = dataset.tree(ANNEX)
    names = [name for name in tree if name.endswith(".log") and name.count("/") == 2]
    with dataset.reader() as reader:
        found = zip(names, reader.read([tree[name][1] for name in names]), strict=True)
        return [
            name.rpartition("/")[2].removesuffix(".log")
            for name, log in found
            if logs.present(log or b"").get(uuid, False)
        ]


def _take_away(dataset: Dataset, file: Path) -> None:
    bad = dataset.git_dir / "annex" / "bad"
    bad.mkdir(parents=True, exist_ok=True)
    file.parent.chmod(0o755)
    os.replace(file, bad / file.name)  # noqa: PTH105
    file.parent.rmdir()
