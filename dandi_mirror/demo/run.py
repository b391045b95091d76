"""The demo: the story of an operator, a scientist and a citation, told by commands that it runs."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from dandi_mirror.demo import programs, seed
from dandi_mirror.demo.replay import read_history
from dandi_mirror.embedded import Server, serve
from dandi_mirror.errors import IntegrityError

Say = Callable[[str], None]


@dataclass(slots=True)
class Demo:
    """One run of the demo."""

    folder: Path
    server: Server
    say: Say
    checks: int = 0
    failures: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Tell the story, and check each claim of it.

        Raises:
            IntegrityError: a command or a check failed.
        """
        self._operator()
        self._scientist()
        self._citation()
        if self.failures:
            raise IntegrityError(f"these claims of the demo do not hold here: {'; '.join(self.failures)}")

    # --- the story -------------------------------------------------------------------------------------------

    def _operator(self) -> None:
        self.say(
            "\n── 1. An operator mirrors both Dandisets for her lab.  Each becomes a DataLad\n"
            "      dataset with the names, sizes and checksums of all files; their content\n"
            "      stays in the archive.\n"
        )
        self._command("dandi-mirror", "sync", "000004", seed.SMALL, "-d", "mirror", "-i", self.server.api_url)
        self._check_keys()
        self.say(
            "\n   She runs it again every night.  Tonight the archive has nothing new, so\n"
            "   there is nothing to print.\n"
        )
        self.server.requests.clear()
        self._command("dandi-mirror", "sync", "-d", "mirror")
        count = len(self.server.requests)
        self._check(count <= 4, f"to find that out, it sent {count} requests to the archive")

    def _scientist(self) -> None:
        self.say(
            f"\n── 2. A scientist reads a paper about {seed.SMALL}, version {seed.FIRST}.\n"
            "      She clones that version, not the draft, which has changed since.\n"
        )
        self._command("datalad", "-l", "warning", "clone", f"mirror/{seed.SMALL}", "paper", "--branch", seed.FIRST)
        self._command("git", "-C", "paper", "ls-tree", "-r", "--name-only", "HEAD")
        self.say("\n   She needs one mouse of two, and downloads the files of that mouse only.\n")
        self._command("datalad", "-C", "paper", "get", "sub-mouse1")
        fsck = self._output("git", "-C", "paper", "annex", "fsck", "--json", seed.SUBJECT_FILE)
        self._check('"success":true' in fsck, "the downloaded file has the SHA-256 that the archive published")
        self._read()

    def _read(self) -> None:
        self.say("\n   They are ordinary NWB files; pynwb reads them:\n")
        from pynwb import NWBHDF5IO

        with NWBHDF5IO(self.folder / "paper" / seed.SUBJECT_FILE, "r") as reader:
            nwb = reader.read()
            voltage = nwb.acquisition["voltage"]
            self.say(f"  {Path(seed.SUBJECT_FILE).name}: subject {nwb.subject.subject_id}, "
                     f"{nwb.session_start_time:%Y-%m-%d}, {len(voltage.data)} values in {voltage.unit}")  # fmt: skip
            self._check(nwb.subject.subject_id == "mouse1", "the file is about the mouse that she asked for")

    def _citation(self) -> None:
        self.say("\n── 3. She cites the data: the version, its DOI, and its commit in git.\n")
        cited = self._command("dandi-mirror", "cite", f"{seed.SMALL}@{seed.FIRST}", "-d", "mirror")
        self.say("\n   In the history each published version is a tag, and no tag ever moves; the\n   draft goes on.\n")
        mirrored = f"mirror/{seed.SMALL}"
        self._command("git", "-C", mirrored, "log", "--graph", "--oneline", "--decorate")
        self.say("\n   A reader in another lab has a mirror of his own, made without hers.\n")
        self._command("dandi-mirror", "sync", seed.SMALL, "-d", "other-lab", "-i", self.server.api_url)
        found = self._command("git", "-C", f"other-lab/{seed.SMALL}", "rev-parse", f"{seed.FIRST}^{{commit}}").strip()
        self._check(found in cited, "his version has the commit that she cites, so he has the files that she used")
        tokens = [request for request in self.server.requests if "authorization" in request.headers]
        self._check(not tokens, "nobody needed an account: no command sent an API key")
        clean = self._output("datalad", "-C", "mirror", "status", "-r")
        self._check("nothing to save" in clean, "the operator's mirror has no unsaved change (datalad status -r)")

    # --- how -------------------------------------------------------------------------------------------------

    def _check_keys(self) -> None:
        """Compare the keys of 000004 with those of the official mirror, draft and versions."""
        recorded = {moment.version: moment.annex_keys for moment in read_history().moments}
        found = {version: annex_keys(self._output, "mirror/000004", version) for version in recorded}
        versions = len(recorded) - 1
        self._check(
            found == recorded,
            f"all {len(recorded['draft'])} files of 000004, in {versions} versions and the draft, have the checksums\n"
            "    that they have in the official mirror, github.com/dandisets/000004",
        )

    def _check(self, held: bool, claim: str) -> None:
        self.checks += 1
        self.say(f"  {'✓' if held else 'FAILED:'} {claim}")
        if not held:
            self.failures.append(claim)

    def _command(self, *arguments: str) -> str:
        """Print a command, run it as it is printed, and print its output."""
        self.say(f"$ {shlex.join(arguments)}")
        output = self._output(*arguments, stderr=subprocess.STDOUT)
        for line in output.splitlines():
            self.say(f"  {line}")
        return output

    def _output(self, *arguments: str, stdin: bytes = b"", stderr: int = subprocess.PIPE) -> str:
        return programs.run(self.folder, *arguments, stdin=stdin, stderr=stderr)


def next_steps(keep: Path | None) -> str:
    """What the user can type after the demo, as it works in the user's own shell."""
    mirror = programs.as_typed()
    looking = f"{mirror} demo --keep demo"
    if keep is not None:
        looking = f"{mirror} log {seed.SMALL} -d {shlex.quote(str(keep / 'mirror'))}"
    return (
        "\nNext, without a network:\n"
        f"  {looking}\n"
        f"  {mirror} archive serve\n"
        "\nNext, with the real archive (these need the network, but no account):\n"
        f"  {mirror} sync 000004 -d dandi\n"
        f"  {mirror} get dandi/000004/sub-P10HMH\n"
        f"  {mirror} cite 000004@0.220126.1852 -d dandi\n"
    )


def run_demo(keep: Path | None, say: Say) -> int:
    """Run the demo in ``keep``, or in a temporary folder; the number of claims that it has checked.

    Raises:
        IntegrityError: a command failed, or a claim does not hold.
    """
    with programs.folder_for(keep) as folder:
        say(
            "This takes less than a minute, and connects to 127.0.0.1 only.\n"
            "Starting a DANDI archive on this machine.  It has two Dandisets: 000004 as the\n"
            f"real archive had it (without the content of its files), and {seed.SMALL}, made for\n"
            "this demo, with small NWB files …"
        )
        with serve(seed.demo_archive()) as server:
            demo = Demo(folder, server, say)
            demo.run()
    return demo.checks


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
