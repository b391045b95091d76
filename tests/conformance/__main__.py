"""``python -m tests.conformance``: dandi's own integration tests against the embedded archive.

Makes an environment with ``dandi[test]`` from the package index (once), serves an empty archive on a loopback
address of its own, and runs there the tests that talk to an archive, one after the other (about five minutes).
Ends with 1 if a test fails that is not in the table of known failures, or if too few pass.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import venv
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dandi_mirror.embedded import Archive, Server, serve
from dandi_mirror.embedded.bucket.outside import OutsideBucket
from tests.conformance.known import DANDI, KNOWN, LEAST, TESTS
from tests.support.seaweed import KEY, seaweed

HOST, PORT = "127.0.0.5", 8000
"""dandi knows its archive for tests by a port that is fixed; its address can be chosen (``DANDI_INSTANCEHOST``)."""
TOKEN = "c0f0" * 10
TOP = Path(__file__).parent.parent.parent


def main(arguments: list[str] | None = None) -> int:
    """Run the tests; 0 if all is as the table says."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=(__doc__ or "").split("\n")[2])
    parser.add_argument("--venv", type=Path, default=TOP / "build" / "conformance", help="the environment; made once")
    parser.add_argument("--s3", action="store_true", help="keep content on SeaweedFS")
    parser.add_argument("tests", nargs="*", help="for pytest: fewer tests, such as -- -k test_upload")
    options = parser.parse_args(arguments)
    python = environment(options.venv)
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="conformance-")))
        bucket = OutsideBucket(stack.enter_context(seaweed(work / "s3")), KEY) if options.s3 else None
        stack.enter_context(served(bucket))
        run_tests(python, work, options.tests)
        return judge(outcomes(work / "results.xml"), whole=not options.tests)


def environment(folder: Path) -> Path:
    """The interpreter of an environment with dandi and what its tests want."""
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        venv.create(folder, with_pip=True, clear=True)
        wanted = [f"dandi[test]=={DANDI}", "pytest-timeout"]
        subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True)
        (folder / "complete").touch()
    return python


@contextmanager
def served(bucket: OutsideBucket | None) -> Iterator[Server]:
    """An empty archive where dandi's tests look for it."""
    archive = Archive("DANDI", "10.80507", web_url=f"http://{HOST}:8085", s3=bucket)
    archive.add_user("admin@nil.nil", TOKEN, admin=True, name="Ada Admin")
    with serve(archive, port=PORT, host=HOST) as server:
        yield server


def run_tests(python: Path, work: Path, arguments: list[str]) -> None:
    """Run pytest in a home of its own; the results are in ``results.xml``."""
    home = work / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[user]\n\tname = Test Person\n\temail = test@example.org\n")
    environment = {
        **{name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ},
        "HOME": str(home),
        "GIT_TERMINAL_PROMPT": "0",
        "PYTHONPATH": str(Path(__file__).parent),
        "DANDI_INSTANCEHOST": HOST,
        "DANDI_TESTS_API_URL": f"http://{HOST}:{PORT}/api",
        "DANDI_TESTS_DJANGO_API_KEY": TOKEN,
        "DANDI_NO_ET": "1",
    }
    command = [str(python), "-m", "pytest", "--pyargs", "dandi", "--dandi-api", "-p", "only", "-p", "no:cacheprovider"]
    results = [f"--junitxml={work / 'results.xml'}", f"--basetemp={work / 'tmp'}", "--timeout=120", "-q", "--tb=line"]
    subprocess.run([*command, *results, *arguments], cwd=home, env=environment, check=False)


def outcomes(results: Path) -> dict[str, str]:
    """Test → ``passed``, ``failure``, ``error`` or ``skipped`` (which an expected failure is, too)."""
    found = {}
    for case in ET.parse(results).iter("testcase"):
        module = (case.get("classname") or "").rpartition(".")[2]
        kinds = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        found[f"{module}::{case.get('name')}"] = kinds[0] if kinds else "passed"
    return found


def judge(found: dict[str, str], *, whole: bool) -> int:
    """Say what is not as the table has it; 1 if that is more than it allows."""
    passed = [name for name, outcome in found.items() if outcome == "passed"]
    failed = [name for name, outcome in found.items() if outcome in ("failure", "error")]
    print(f"\n{len(found)} tests, {len(passed)} passed, {len(failed)} failed")
    for name in failed:
        print(f"{name}: {KNOWN.get(name, 'NOT KNOWN TO FAIL')}")
    for name in sorted(KNOWN.keys() & set(passed)):
        print(f"{name}: passes, though it is in the table")
    bad = [name for name in failed if name not in KNOWN]
    too_few = whole and (len(found) < TESTS or len(passed) < LEAST)
    return 1 if bad or too_few else 0


if __name__ == "__main__":
    sys.exit(main())
