"""Read from a dataset what the demo compares with the official mirror."""

from __future__ import annotations

from collections.abc import Callable


def annex_keys(output: Callable[..., str], dataset: str, commit: str) -> dict[str, str]:
    """The git-annex key of each annexed file (by path) of a commit; two commands, however many files there are."""
    listing = output("git", "-C", dataset, "ls-tree", "-r", "-z", commit)
    links: dict[str, str] = {}
    for line in listing.split("\0")[:-1]:
        facts, _, path = line.partition("\t")
        mode, _, oid = facts.split(" ")
        if mode == "120000":
            links[path] = oid
    asked = "\n".join(links.values()) + "\n"
    # for each blob a line of facts, then its content: the target of the link
    answers = output("git", "-C", dataset, "cat-file", "--batch=%(objecttype)", stdin=asked.encode()).splitlines()
    return {path: target.rpartition("/")[2] for path, target in zip(links, answers[1::2], strict=True)}
