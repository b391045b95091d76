"""``python -m tests.mutants``: change the pure modules in small ways, and see which changes no fast test notices.

Modules and tests are those of ``[tool.mutmut]`` in pyproject.toml.  Prints a table, and the survivors of the modules
that are named (``python -m tests.mutants paths``).  Ends with 1 if fewer than 90 % of the mutants were killed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

TOP = Path(__file__).parents[2]
WANTED = 0.9
KILLED = (1, 3)
NO_TEST = (5, 33)


def outcome(code: int | None) -> str:
    """What a test run that ended so says of a mutant; one that ran into a time limit is killed."""
    if code is None:
        return "not run"
    return "survived" if code == 0 else "untested" if code in NO_TEST else "killed"


def results(folder: Path) -> dict[str, dict[str, str]]:
    """Module → mutant → outcome, as mutmut left them."""
    found = {}
    for meta in sorted(folder.rglob("*.py.meta")):
        codes: Mapping[str, int | None] = json.loads(meta.read_text())["exit_code_by_key"]
        if codes:
            found[str(meta.relative_to(folder)).removesuffix(".py.meta")] = {n: outcome(c) for n, c in codes.items()}
    return found


def table(found: Mapping[str, Mapping[str, str]]) -> tuple[str, float]:
    """A line a module, one for all, and the share that was killed of what was run."""
    lines, everything = [], Counter[str]()
    for module, mutants in found.items():
        counts = Counter(mutants.values())
        everything += counts
        lines.append(_line(module, counts))
    lines.append(_line("all", everything))
    return "\n".join(lines), _share(everything)


def _share(counts: Counter[str]) -> float:
    ran = counts.total() - counts["not run"]
    return counts["killed"] / ran if ran else 0.0


def _line(name: str, counts: Counter[str]) -> str:
    rest = ", ".join(f"{counts[word]} {word}" for word in ("survived", "untested", "not run") if counts[word])
    return f"{name:45} {counts['killed']:5} of {counts.total():5} killed  {_share(counts):4.0%}  {rest}".rstrip()


def main() -> int:
    """Run what has not been run, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("modules", nargs="*", help="ends of modules, as paths or annex/keys; without any: all")
    parser.add_argument("-J", "--jobs", type=int, default=2)
    parser.add_argument("--only-show", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    if not arguments.only_show:
        names = [f"*{module.replace('/', '.')}.*" for module in arguments.modules]
        command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(arguments.jobs), *names]
        subprocess.run(command, cwd=TOP, check=False)
    found = results(TOP / "mutants")
    if arguments.modules:
        found = {name: some for name, some in found.items() if name.endswith(tuple(arguments.modules))}
        for mutants in found.values():
            print("\n".join(f"{what:9} {name}" for name, what in mutants.items() if what in {"survived", "untested"}))
    text, share = table(found)
    print(text)
    return 0 if share >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
