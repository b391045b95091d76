"""What `upload` prints: the plan, what becomes of each step, and the summary."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dandi_mirror.cli import output, progress
from dandi_mirror.text import human_size, printable, some
from dandi_mirror.workflows import terminal
from dandi_mirror.workflows.sync.reports import report_record

if TYPE_CHECKING:
    from dandi_mirror.model import Report
    from dandi_mirror.upload.change.execute import StepOutcome
    from dandi_mirror.upload.change.plan import UploadStep
    from dandi_mirror.workflows.owner.record_edit import RecordEdit
    from dandi_mirror.workflows.upload.plan import Planned
    from dandi_mirror.workflows.upload.request import UploadRequest
    from dandi_mirror.workflows.upload.upload import Upload

SHOWN = 10
"""How many files of a kind are named on the terminal; the others are counted."""
NOT_SENT = "not sent"
"""What is left out, and would be refused if somebody asked for it."""
WORDS = {
    "add": "to add", "replace": "to replace", "rename": "to rename", "delete": "to delete", "done": "there already",
    "kept": "gone here, and kept there (--sync deletes)", "refused": "refused",
    "left out": "left out, as DANDI knows no such kind of file (--include PATTERN sends them)",
    NOT_SENT: "left out, as DANDI knows no such kind of file, and it is empty or has a name that DANDI refuses",
}  # fmt: skip


def _digest(zarr: bool, digest: str) -> dict[str, str]:
    """The digest of a step, called by its kind."""
    return {"zarr_checksum": digest} if zarr else {"sha256": digest}


class UploadOutput:
    """Prints the plan of an upload, what becomes of each step, and the summary."""

    def __init__(self, folder: Path, form: str, dry_run: bool) -> None:
        self._folder = folder
        self.form = form
        self._dry_run = dry_run
        self._codes: set[int] = set()
        self._did: Counter[str] = Counter()
        self._statuses: Counter[str] = Counter()
        self._sent = 0
        self._failures = 0
        self._junk = 0
        self._transfer: progress.Transfer | None = None

    def confirms(self, planned: Planned) -> bool:
        """Ask, on a terminal, whether to send what would be left out, too."""
        left = planned.left_to_ask
        if not left or self.form == "json" or not terminal.is_interactive():
            return False
        output.say("DANDI does not know these as data:", err=True)
        for path in left[:SHOWN]:
            output.say(f"    {printable(path)}", err=True)
        more = f" ({len(left) - SHOWN:,} more are not shown; -n names all)" if len(left) > SHOWN else ""
        what = "it" if len(left) == 1 else f"all {len(left):,}"
        return terminal.agree(f"send {what} all the same?{more}", "nothing was sent")

    def plan(self, planned: Planned, wanted: UploadRequest) -> None:
        """Print the plan: every step in a dry run or as JSON, else the first of each kind."""
        for pattern in planned.idle_patterns(wanted.include):
            self.say(f"--include {shlex.quote(pattern)} matches no file")
        self._junk = len(planned.ours.junk)
        if self.form == "json":
            self._plan_as_json(planned)
            return
        kinds = self._print_steps(planned.plan.steps, planned)
        if kinds:
            words = [f"{kinds[kind]:,} {words}" for kind, words in WORDS.items() if kinds[kind]]
            output.say(f"{', '.join(words)}; {planned.plan.unchanged:,} unchanged")
        elif not planned.record:
            self.say("nothing to send: the archive has all of it")
        if planned.record:
            self._print_record(planned.record)
        if self._dry_run and wanted.validate and any(step.do in {"add", "replace"} for step in planned.plan.steps):
            self.say(
                "a dry run does not validate files, and an upload refuses those with errors: dandi-mirror validate"
            )
        if junk := planned.ours.junk:
            what = "1 hidden file or leftover" if len(junk) == 1 else f"{len(junk):,} hidden files or leftovers"
            self.say(f"left out: {what} of programs, as {junk[0]} (--include PATTERN sends such)")
        if ignored := [path for path in planned.ours.ignored if path not in wanted.paths]:
            self.say(f"left out, because git ignores {'them' if len(ignored) > 1 else 'it'}: {some(ignored, SHOWN)}")

    def _plan_as_json(self, planned: Planned) -> None:
        for step in planned.plan.steps:
            facts = {"do": step.do, "size": step.size, **_digest(step.zarr, step.digest), "from": step.old}
            if changes := planned.entries.get(step.path):
                facts |= {"chunks": changes.here, "changed": len(changes.put), "deleted": changes.deleted}
            self._record("plan", step.path, "impossible" if step.reason else "ok", step.reason, facts)
        if planned.record:
            fields = [one.facts() for one in planned.record.changes]
            self._record("plan", "dandiset.yaml", "ok", "", {"do": "edit", "fields": fields})

    def _print_steps(self, steps: Sequence[UploadStep], planned: Planned) -> Counter[str]:
        """Print steps by their kinds; return how many there are of each."""
        askable = set(planned.left_to_ask)
        named = [(NOT_SENT if step.do == "left out" and step.path not in askable else step.do, step) for step in steps]
        kinds = Counter(kind for kind, _ in named)
        for kind in WORDS:
            members = [step for called, step in named if called == kind]
            shown = members if self._dry_run else members[:SHOWN] if kind != "refused" else []
            for step in shown:
                source = f"{printable(step.old)} → " if step.old else ""
                within = f"  ({changes.words()})" if (changes := planned.entries.get(step.path)) else ""
                output.say(f"{step.do:>8}  {human_size(step.size):>9}  {source}{printable(step.path)}{within}")
            if len(members) > len(shown) and shown:
                output.say(f"{members[0].do:>8}  … and {len(members) - len(shown):,} more (--dry-run names all)")
        return kinds

    def _print_record(self, edit: RecordEdit) -> None:
        names = ", ".join(printable(change.name) for change in edit.changes)
        nothing = "nothing that the archive does not have or write itself; the file becomes the archive's again"
        output.say(f"    edit             dandiset.yaml: {names or nothing}")

    def outcome(self, outcome: StepOutcome) -> None:
        """Print what became of a step."""
        step = outcome.step
        if self._transfer:
            self._transfer.done(step.path)
        self._codes.add(outcome.exit_code)
        self._statuses[outcome.status] += 1
        if outcome.status == "ok":
            self._did[step.do] += 1
            self._sent += outcome.sent
        if self.form == "json":
            facts = {"do": step.do, "size": outcome.size, **_digest(step.zarr, outcome.digest), "from": step.old}
            facts |= {"asset_id": outcome.asset_id, "sent": outcome.sent, "exit_code": outcome.exit_code}
            self._record("upload", step.path, outcome.status, outcome.message, facts)
        elif outcome.message and outcome.exit_code:
            self._failures += 1
            if self._failures <= SHOWN or self._dry_run:
                output.say(f"{printable(step.path)}: {printable(outcome.message)}", err=True)

    def _record(self, action: str, path: str, status: str, message: str, facts: dict[str, object]) -> None:
        record = {"action": action, "path": str(self._folder / path), "type": "file", "refds": str(self._folder)}
        output.print_json(
            record | {"status": status, "message": message, "file": path, "dry_run": self._dry_run} | facts
        )

    def synced(self, report: Report) -> bool:
        """Print the report of the sync before the plan; return whether it failed, or met edits that are in the way."""
        self._codes.add(report.exit_code)
        self._report(report)
        return report.status in {"error", "impossible"} or any(found.kind == "worktree" for found in report.findings)

    def kept(self, branch: str) -> None:
        """Print where the commits of the person are."""
        if branch:
            self.say(f"what you had committed is kept on the branch {branch}")

    def unfinished(self, upload: Upload, planned: Planned) -> None:
        """Print how many uploads at the archive are unfinished, as a killed run leaves them, and how to clear them."""
        if not (count := upload.unfinished(planned)):
            return
        url = f"{upload.archive.session.api_url}/dandisets/{upload.dandiset}/uploads/"
        self.say(
            f"{count:,} unfinished upload{'' if count == 1 else 's'} at the archive, as an upload that was killed "
            f"leaves behind; the embargo cannot be lifted before they are cleared. When nobody uploads to "
            f"{upload.dandiset} any more, clear them: curl -X DELETE -H 'Authorization: token YOUR-API-KEY' {url}"
        )

    def _report(self, report: Report) -> None:
        if self.form == "json":
            output.print_json(report_record(report, self._folder.parent, False))
        elif report.status != "notneeded" or report.message or report.findings:
            output.say(output.report_line(report, False), err=report.status in {"error", "impossible"})
            for line in output.finding_lines(report.findings):
                output.say(line, err=True)

    def say(self, line: str) -> None:
        """Print something for people that is not about a file."""
        if self.form == "text":
            output.say(printable(line), err=True)

    @contextmanager
    def progress(self, planned: Planned, upload: Upload) -> Iterator[Callable[[str], None]]:
        """Show a bar on a terminal; call what this gives with what is being done."""
        from dandi_mirror.upload.change.plan import Action

        steps = planned.plan.changes
        names = [step.path for step in steps]
        size = sum(step.size for step in planned.plan.of(Action.ADD, Action.REPLACE))  # no other step sends bytes
        with progress.transferring(self.form, names, size, lambda: upload.meter.passed) as self._transfer:
            yield self._transfer.doing
        self._transfer = None

    def end(self, report: Report | None) -> int:
        """Print the report of the sync and the summary, and return the exit code."""
        from dandi_mirror.errors import exit_code

        if report:
            self._codes.add(report.exit_code)
        code = exit_code(self._codes)
        if self.form == "json":
            if report:
                self._report(report)
            output.print_summary(code, **self._statuses, sent=self._sent, junk=self._junk)
            return code
        if self._failures > SHOWN and not self._dry_run:
            output.say(f"… and {self._failures - SHOWN:,} more (-f json names all)", err=True)
        if self._did:
            past = {"add": "added", "replace": "replaced", "rename": "renamed", "delete": "deleted"}
            counted = ", ".join(f"{past[kind]} {count:,}" for kind, count in self._did.items())
            output.say(f"{counted}; sent {human_size(self._sent)}")
        if report:
            self._report(report)
        return code
