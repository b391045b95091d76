"""``python -m tests.versions RELEASE PACKAGE… -- COMMAND``: run a command with the programs of another Debian release.

    python -m tests.versions bookworm git git-annex -- pytest -m quick
    python -m tests.versions sid python3.14 -- tox run -m versions

The packages are fetched once, into .tox/programs.  Ends as the command does, or with 69 where they cannot be fetched:
then put such programs first on PATH by hand.
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

from dandi_mirror.repo.git.programs import installed_programs
from tests.versions.programs import NotHere, fetched

FOLDER = Path(__file__).parents[2] / ".tox/programs"


def main(arguments: list[str]) -> int:
    """Run what stands behind ``--``."""
    end = arguments.index("--") if "--" in arguments else 0
    if end < 2:
        print(__doc__, file=sys.stderr)
        return 2
    (release, *packages), command = arguments[:end], arguments[end + 1 :]
    try:
        folders = [str(fetched(release, package, FOLDER)) for package in packages]
    except NotHere as error:
        print(f"no {' '.join(packages)} of {release} on this machine: {error}", file=sys.stderr)
        return 69
    os.environ["PATH"] = os.pathsep.join([*folders, os.environ.get("PATH", os.defpath)])
    found = ", ".join(f"{item.program.name} {item.version}" for item in installed_programs())
    print(f"python {platform.python_version()}, {found}", file=sys.stderr, flush=True)
    os.execvp(command[0], command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
