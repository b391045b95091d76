"""What the demo does and shows: every command is run as printed, by the programs a user has."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dandi_mirror.demo import seed
from dandi_mirror.demo.replay import read_history
from dandi_mirror.embedded import Server, serve
from dandi_mirror.errors import IntegrityError

Say = Callable[[str], None]


@contextmanager
def folder_for(keep: Path | None) -> Iterator[Path]:
    """The folder to work in: the user's own, or one that is gone afterwards."""
    if keep is not None:
        keep.mkdir(parents=True)
        yield keep.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="dandi-mirror-demo-") as name:
        yield Path(name)
        # git-annex write-protects the folders of its objects
        for folder, _, _ in os.walk(name):
            Path(folder).chmod(0o700)


def environment(home: Path) -> dict[str, str]:
    """The demo's own home and git settings: nothing of the user's is read or changed.

    git-annex asks loopback addresses only when it is told that it may.
    """
    settings = {
        "user.name": "Demo",
        "user.email": "demo@example.org",
        "init.defaultBranch": "draft",
        "annex.security.allowed-ip-addresses": "127.0.0.1",
    }
    home.mkdir(exist_ok=True)
    kept = {name: os.environ[name] for name in ("LANG", "TERM", "TMPDIR") if name in os.environ}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    numbered = {f"GIT_CONFIG_{part}_{place}": text
                for place, setting in enumerate(settings.items())
                for part, text in zip(("KEY", "VALUE"), setting, strict=True)}  # fmt: skip
    return {**kept, "HOME": str(home), "PATH": path, "GIT_CONFIG_COUNT": str(len(settings)), **numbered}


@dataclass(slots=True)
class Demo:
    """One run of the demo."""

    folder: Path
    server: Server
    say: Say
    failures: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Show everything, then check it.

        Raises:
            IntegrityError: a command or a check failed.
        """
        self._sync()
        self._clone()
        self._read()
        self._cite()
        self._check()
        self._next()
        if self.failures:
            raise IntegrityError(f"the demo's checks failed: {'; '.join(self.failures)}")

    # --- what is shown -------------------------------------------------------------------------------------

    def _sync(self) -> None:
        self.say("\n── Two Dandisets of an archive on this machine become DataLad datasets; no data is downloaded.\n")
        self._command("dandi-mirror", "sync", "000004", seed.SMALL, "-d", "mirror", "-i", self.server.api_url)
        self.say("\n── A second run finds nothing to do and says nothing.\n")
        self.server.requests.clear()
        self._command("dandi-mirror", "sync", "000004", "-d", "mirror", "-i", self.server.api_url)
        self._expect(len(self.server.requests) == 2, "a run with nothing to do makes two requests")

    def _clone(self) -> None:
        self.say("\n── Anybody clones it at the version they want to cite…\n")
        self._command("datalad", "-l", "warning", "clone", f"mirror/{seed.SMALL}", "paper", "--branch", seed.FIRST)
        self._command("git", "-C", "paper", "ls-tree", "-r", "--name-only", "HEAD")
        self.say("\n── …and brings the files of one subject, by its folder.\n")
        self._command("datalad", "-C", "paper", "get", str(Path(seed.SUBJECT_FILE).parent))

    def _read(self) -> None:
        self.say("\n── It is an NWB file; pynwb reads it.\n")
        from pynwb import NWBHDF5IO

        path = self.folder / "paper" / seed.SUBJECT_FILE
        with NWBHDF5IO(path, "r") as reader:
            nwb = reader.read()
            voltage = nwb.acquisition["voltage"]
            self.say(f"  {seed.SUBJECT_FILE}: subject {nwb.subject.subject_id}, {nwb.session_start_time:%Y-%m-%d}, "
                     f"{len(voltage.data)} values in {voltage.unit}")  # fmt: skip
            self._expect(nwb.subject.subject_id == "mouse1", "the file is the subject's")

    def _cite(self) -> None:
        self.say("\n── The history: published versions are tags that never move, the draft goes on.\n")
        self._command("git", "-C", "mirror/000004", "log", "--graph", "--oneline")
        self.say("\n── What to cite, with the commit that any mirror, made anywhere, has for it.\n")
        self._command("dandi-mirror", "cite", "000004@0.220126.1852", "-d", "mirror")

    def _next(self) -> None:
        if self.failures:
            return
        self.say(
            "\n── Next, with the real archive:\n\n"
            "  dandi-mirror sync 000004 -d dandi            mirror it (no account, no data)\n"
            "  datalad get dandi/000004/sub-P10HMH          bring one subject's files\n"
            "  datalad clone dandi/000004 paper --branch 0.220126.1852\n"
        )

    # --- what is checked -----------------------------------------------------------------------------------

    def _check(self) -> None:
        self.say("\n── Checks\n")
        official = read_history().moments[-1].annex_keys
        keys = self._keys(self.folder / "mirror" / "000004", "draft")
        self._expect(keys == official, f"000004's {len(official)} keys equal the official mirror's")
        for version in ("0.220126.1851", "0.220126.1852"):
            recorded = next(moment for moment in read_history().moments if moment.version == version)
            keys = self._keys(self.folder / "mirror" / "000004", version)
            self._expect(keys == recorded.annex_keys, f"so do those of its version {version}")
        fsck = self._output("git", "-C", "paper", "annex", "fsck", "--json", seed.SUBJECT_FILE)
        self._expect('"success":true' in fsck, "the file that came is the one of its key (git annex fsck)")
        status = self._output("datalad", "-C", "mirror", "status", "-r")
        self._expect("nothing to save" in status, "the mirror is clean (datalad status -r)")
        tokens = [request for request in self.server.requests if "authorization" in request.headers]
        self._expect(not tokens, "no credential was asked for or sent")

    def _keys(self, dataset: Path, commit: str) -> dict[str, str]:
        listing = self._output("git", "-C", str(dataset), "ls-tree", "-r", "-z", commit)
        keys = {}
        for line in listing.split("\0")[:-1]:
            facts, _, path = line.partition("\t")
            mode, _, oid = facts.split(" ")
            if mode == "120000":
                keys[path] = self._output("git", "-C", str(dataset), "cat-file", "blob", oid).rpartition("/")[2]
        return keys

    def _expect(self, held: bool, what: str) -> None:
        self.say(f"  {'ok    ' if held else 'FAILED'} {what}")
        if not held:
            self.failures.append(what)

    # --- how -----------------------------------------------------------------------------------------------

    def _command(self, *arguments: str) -> None:
        self.say(f"$ {shlex.join(arguments)}")
        for line in self._output(*arguments, stderr=subprocess.STDOUT).splitlines():
            self.say(f"  {line}")

    def _output(self, *arguments: str, stderr: int = subprocess.PIPE) -> str:
        if arguments[0] == "dandi-mirror":
            arguments = (sys.executable, "-m", "dandi_mirror", *arguments[1:])
        done = subprocess.run(
            arguments, cwd=self.folder, env=self._environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=stderr, check=False,
        )  # fmt: skip
        output = done.stdout.decode(errors="replace")
        if done.returncode:
            said = (output + (done.stderr or b"").decode(errors="replace")).strip()
            raise IntegrityError(f"the demo's command {arguments[1:4]} ended with {done.returncode}: {said[-500:]}")
        return output

    def _environment(self) -> Mapping[str, str]:
        return environment(self.folder / "home")


def run_demo(keep: Path | None, say: Say) -> None:
    """Run the demo in ``keep``, or in a folder that is gone afterwards.

    Raises:
        IntegrityError: a check failed.
    """
    with folder_for(keep) as folder:
        say("Making a DANDI archive on 127.0.0.1: real NWB files, and Dandiset 000004 as it was recorded …")
        with serve(seed.demo_archive()) as server:
            Demo(folder, server, say).run()
