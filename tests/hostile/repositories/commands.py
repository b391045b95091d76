"""Every command that reads a clone or a mirror, as its user types it there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from tests.hostile.repositories.stage import CLONE, DANDISET, Stage

SHA256 = hashlib.sha256(b"0" * 2000).hexdigest()
IN_CLONE = (
    "ls .", "ls -r --links .", "ls {id}@{v} -d . -f json", "log {id} -d . --commits", "diff {id} -d .",
    "diff {id} -d . -f json", "cite {id}@{v} -d .", "status -d .", "search behavior -d .", "which {sha} -d .",
    "which sub-0/sub-0_behavior.nwb -d .", "runs -d .", "config", "config -d . -f json", "doctor", "validate --all .",
    "upload -n", "upload -n --sync --allow-deletes", "organize -n {recordings}", "publish -n {id} -d .",
    "push -n -d .", "sync -n -d .", "sync {id} -d .", "worktree {id}@{v} {out}/version -d .", "get -n .", "get .",
    "download . -o {out}/plain", "download . -o {out}/plain -e overwrite",
    "download {id}@draft/sub-* -d . -o {out}/glob",
    "download {id}@{v} -d . -o {out}/tree --preserve-tree",
)  # fmt: skip
IN_MIRROR = (
    "status", "status --offline", "ls .", "ls -r {id}", "ls {id}@{v} -f json", "log {id} --commits", "diff {id}",
    "cite {id}@{v}", "cite {id}@{v} -f bibtex", "which {sha}", "which {id}/sub-0/sub-0_behavior.nwb", "runs",
    "runs last",
    "config", "doctor", "validate {id}", "push -n", "push", "sync -n", "upload -n {id}", "publish -n {id}",
    "organize -n {recordings} --to {id}", "download {id}@draft -o {out}/plain",
    "download {id}@draft -o {out}/plain -e overwrite", "download {id}@{v}/sub-* -o {out}/glob",
    "worktree {id}@{v} {out}/version", "get -n {id}", "sync", "sync --mode verify {id}", "search behavior",
    "search sub",
    "get {id} sub-1", "status", "runs last",
)  # fmt: skip
SLOW = ("validate", "doctor")
"""Those that take seconds: in a quarter of the repositories."""


def commands(stage: Stage, most: int | None = None) -> Iterator[list[str]]:
    """The arguments of each, in the order in which they are run; at most so many, at random."""
    texts = [text for text in (IN_CLONE if stage.kind == CLONE else IN_MIRROR)
             if not text.startswith(SLOW) or stage.chance.random() < 0.25]  # fmt: skip
    if most is not None and most < len(texts):
        texts = [texts[place] for place in sorted(stage.chance.sample(range(len(texts)), most))]
    words = {"id": DANDISET, "v": stage.world.version, "sha": SHA256, "out": stage.out, "recordings": stage.recordings}
    yield from ([word.format(**words) for word in text.split()] for text in texts)
    for name in stage.names:
        yield from (["get", "-n", "--", name], ["which", "--", name],
                    ["download", "-o", str(stage.out / "named"), "--", name])  # fmt: skip
