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
    "download {id}@{v} -d . -o {out}/tree --preserve-tree", "upload", "upload --include * -f json",
    "organize {recordings}", "zarr ref sub-0/x.ome.zarr", "ls sub-0/x.ome.zarr", "get -n sub-0/x.ome.zarr",
    "get sub-0/x.ome.zarr", "download {id}@draft/sub-0/x.ome.zarr -d . -o {out}/zarr",
    "edit {id} --set keywords=[x] -n -d .", "edit {id} --from dandiset.yaml --yes -d .", "owners {id} -d .",
    "owners {id} --add x --yes -d .", "unembargo {id} --yes --wait 1s -d .", "delete {id} --name x -d .", "serve -d .",
    "publish --yes {id} -d .", "create --name x -d .", "login --check -d .", "logout -d .", "get . --where subject=x",
    "complete log {id}@", "complete diff {id}@{v}..", "complete ls 0", "config --init -d .", "verify --offline -d .",
    "coverage -d .", "fetch -d .", "challenge -d .", "hold --max-size 1G -d .", "restore {id}@draft -d .",
    "export {id}@{v} -d . --as metalink -o {out}/x.meta4", "export . --as bagit -o {out}/bag",
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
    "get {id} sub-1", "zarr ref {id}/sub-0/x.ome.zarr", "ls {id}/sub-0/x.ome.zarr", "ls -r {id}/sub-0/x.ome.zarr/",
    "download {id}@draft/sub-0/x.ome.zarr -o {out}/zarr", "get {id} sub-0/x.ome.zarr", "edit {id} --set name=x -n",
    "edit {id} --from {id}/dandiset.yaml --yes", "owners {id}", "owners {id} --add x --yes",
    "unembargo {id} --yes --wait 1s", "delete {id} --name x", "serve", "serve --offline",
    "status", "runs last", "sync --get sub-1/* {id}", "sync --all", "push --all", "upload {id}",
    "upload --include * {id}", "publish --yes {id}", "create --name x", "login --check", "logout",
    "complete log {id}@", "complete diff {id}@{v}..", "complete ls 0", "organize {recordings} --to {id}",
    "coverage", "fetch", "challenge", "hold --max-size 1G -n", "hold --max-size 1G {id}", "restore {id}@{v}",
    "config --init -f json", "export {id}@{v} --as ro-crate -o {out}/x.json",
    "export {id} --as bagit --payload -o {out}/bag", "catalogue build {out}/pages", "verify --offline --content 1",
    "verify --urls 1 -f json {id}", "verify --repair {id}",
)  # fmt: skip
READS_NONE = {"demo", "archive", "shell-completion"}
"""Commands that have a folder of their own, or none."""
TELLS = {"create", "delete", "edit", "owners", "publish", "unembargo", "upload"}
"""Commands that change the archive; here it lets nobody do so."""
SLOW = ("validate", "doctor")
"""Those that take seconds: in a quarter of the repositories."""


def is_completed(command: list[str]) -> bool:
    """Whether somebody has begun to type this, and presses Tab."""
    return command[:1] == ["complete"]


def completing(command: list[str]) -> dict[str, str]:
    """What the shell of that person sets; nothing for another command."""
    words = ["dandi-mirror", *command[1:]]
    asked = {
        "_DANDI_MIRROR_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    return asked if is_completed(command) else {}


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
