"""What goes up unasked, and what ``organize``, ``validate`` and ``upload`` refuse alike."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dandi_mirror.embedded import Dandiset
from dandi_mirror.upload.read.worker import Worker
from tests.conftest import MirrorOfTest, run
from tests.support.nwb import write_nwb
from tests.support.terminal import on_terminal
from tests.support.uploading import FIRST, SECOND, THIRD, Person, me, mine, paths, token

__all__ = ["me", "mine", "token"]

THERE = [FIRST, SECOND, THIRD]
NWB = "sub-m1/sub-m1_ses-s1.nwb"


class Cli:
    """The commands in somebody's folder."""

    def __init__(self, me: Person, token: dict[str, str]) -> None:
        self.me = me
        self.token = token

    def upload(self, *arguments: str, code: int = 0) -> str:
        """What it prints, on both channels."""
        done = run(
            "dandi-mirror", "upload", "-i", self.me.server.api_url, *arguments, cwd=self.me.folder, env=self.token,
            code=code,
        )  # fmt: skip
        return done.stdout + done.stderr

    def validate(self, *arguments: str, code: int = 0) -> list[tuple[str, str, str]]:
        """Severity, check and path of what it finds."""
        done = run("dandi-mirror", "validate", "-f", "json", *arguments, cwd=self.me.folder, code=code)
        *records, _ = map(json.loads, done.stdout.splitlines())
        return [(record["severity"], record["id"], record["file"]) for record in records]


@pytest.fixture
def cli(me: Person, token: dict[str, str]) -> Cli:
    return Cli(me, token)


def write_zarrs(me: Person) -> list[str]:
    """Three Zarrs: by its name, by what it holds, and in a BIDS dataset in format 3."""
    for path in ("sub-z/img.ome.zarr/.zgroup", "sub-z/img.ome.zarr/0/.zarray", "sub-z/img.ome.zarr/0/0",
                 "sub-z/plain/.zarray", "sub-z/plain/0", "raw/dataset_description.json", "raw/micr/zarr.json",
                 "raw/micr/c/0/0"):  # fmt: skip
        me.write(path, b'{"zarr_format": 2}')
    return ["raw/micr", "sub-z/img.ome.zarr", "sub-z/plain"]


def test_a_zarr_that_is_not_called_so_is_refused_whole_by_all_three_and_none_of_its_chunks_goes_up(
    me: Person, mine: Dandiset, cli: Cli
) -> None:
    zarrs = write_zarrs(me)
    unnamed = ["raw/micr", "sub-z/plain"]
    done = me.upload(paths=unnamed)
    assert done.failures.keys() == set(unnamed)
    assert all("rename the folder so that its name ends in .zarr" in reason for reason in done.failures.values())
    assert (paths(mine), me.writes()) == (THERE, [])
    named = cli.upload("sub-z/plain/0", "--validation", "skip", code=3)
    assert "sub-z/plain: it holds the files of a Zarr" in named, "also by the name of a chunk"
    found = cli.validate("sub-z", "raw/micr", code=3)
    assert [path for severity, check, path in found if check == "DANDI_MIRROR.ZARR" and severity == "error"] == unnamed
    organized = run("dandi-mirror", "organize", str(me.folder / "sub-z"), str(me.folder / "raw"), "-n",
                    cwd=me.folder, code=3)  # fmt: skip
    told = organized.stdout + organized.stderr
    assert all(f"{me.folder / zarr}: it is a Zarr" in told for zarr in zarrs)
    assert sorted(me.git("status", "--porcelain").splitlines()) == ["?? raw/", "?? sub-z/"]


def test_what_dandi_does_not_know_is_named_and_stays_here_until_it_is_asked_for(
    me: Person, mine: Dandiset, cli: Cli
) -> None:
    for path in ("patients.xlsx", "notes.txt", "analysis/a.py", "empty.csv", "left.mp4"):
        me.write(path, b"" if "empty" in path else b"secret")
    write_nwb(me.folder / NWB)
    me.write("sub-m1/sub-m1_ses-s1/right.mp4", b"a film")
    run("git", "annex", "add", "--quiet", "notes.txt", cwd=me.folder)
    me.git("commit", "-q", "-m", "mine")
    said = cli.upload("-n")
    assert [line.split()[-1] for line in said.splitlines() if line.startswith("     add")] == [
        "sub-m1/sub-m1_ses-s1.nwb", "sub-m1/sub-m1_ses-s1/right.mp4",
    ]  # fmt: skip
    unknown = ["analysis/a.py", "empty.csv", "left.mp4", "notes.txt", "patients.xlsx"]
    assert sorted(line.split()[-1] for line in said.splitlines() if line.startswith("left out")) == unknown
    assert "4 left out, as DANDI knows no such kind of file (--include PATTERN sends them)" in said
    named = cli.upload("patients.xlsx", code=3)
    assert "patients.xlsx: DANDI does not know this kind of file; to send it anyway: --include patients.xlsx" in named
    assert me.writes() == []
    assert me.upload(include=("analysis",)).failures == {}
    assert paths(mine) == sorted(["analysis/a.py", NWB, "sub-m1/sub-m1_ses-s1/right.mp4", *THERE])
    assert (me.folder / "notes.txt").read_bytes() == b"secret"
    found = cli.validate("left.mp4", "patients.xlsx")
    assert found == [("warning", "DANDI.UNKNOWN_FILE", path) for path in ("left.mp4", "patients.xlsx")]
    # known by now: at its path, and at another one
    me.write("analysis/a.py", b"other words")
    assert me.upload(include=()).steps["analysis/a.py"] == "replace"
    me.git("mv", "analysis/a.py", "b.py")
    assert me.upload(include=()).steps["b.py"] == "rename"


def test_what_no_pattern_sends_is_not_offered_to_be_sent(
    me: Person, mine: Dandiset, cli: Cli, token: dict[str, str]
) -> None:
    odd = ["a:b.txt", "odd ü.csv", "empty.csv"]
    for path in (*odd, "notes.txt"):
        me.write(path, b"" if path == "empty.csv" else b"words")
    said = cli.upload("-n", "--include", "*.csvv", "--include", "sub-*")
    assert "1 left out, as DANDI knows no such kind of file (--include PATTERN sends them), 3 left out, as" in said
    assert "and it is empty or has a name that DANDI refuses" in said
    assert "--include '*.csvv' matches no file" in said and said.count("matches no file") == 1
    assert "--include" not in cli.upload("a:b.txt", code=3).partition("a:b.txt: ")[2]
    with on_terminal("upload", str(me.folder), "-i", me.server.api_url, env=token) as seen:
        seen.answer("send it all the same?", "y")
        assert seen.end() == 0
    assert paths(mine) == sorted(["notes.txt", *THERE])


def test_a_dry_run_says_that_it_does_not_validate(me: Person, mine: Dandiset, cli: Cli) -> None:
    (me.folder / "sub-x.nwb").write_bytes(b"this is no NWB file")
    words = "a dry run does not validate files, and an upload refuses those with errors: dandi-mirror validate"
    assert cli.upload("-n").count(words) == 1
    assert words not in cli.upload("-n", "--validation", "skip")
    assert words not in cli.upload(code=3)
    assert words not in cli.upload("-n", "absent.nwb", code=3)


def test_what_programs_leave_behind_is_counted_once_and_goes_up_only_when_it_is_included(
    me: Person, mine: Dandiset, cli: Cli
) -> None:
    junk = ["x.nwb.dandidownload/file", "__pycache__/a.pyc", "~$x.docx", "sub-m1/.x.swp", "x~", ".DS_Store",
            "Thumbs.db", "core.12"]  # fmt: skip
    me.write("dataset_description.json", b'{"Name": "a study", "BIDSVersion": "1.9.0"}')
    for path in junk:
        me.write(path, b"junk")
    me.git("add", "x~", ".DS_Store")
    said = cli.upload("-n")
    assert f"left out: {len(junk)} hidden files or leftovers of programs, as " in said
    assert [line.split()[-1] for line in said.splitlines() if "add " in line[:9]] == ["dataset_description.json"]
    assert "x~: a program left it behind" in cli.upload("x~", code=3)
    assert me.upload(include=("x~",)).failures == {}
    assert paths(mine) == ["dataset_description.json", *THERE, "x~"]


def test_on_a_terminal_what_dandi_does_not_know_is_asked_about(
    me: Person, mine: Dandiset, token: dict[str, str]
) -> None:
    me.write("notes.txt", b"words")
    command = ("upload", str(me.folder), "--validation", "skip", "-i", me.server.api_url)
    for answer, sent in (("n", THERE), ("y", ["notes.txt", *THERE])):
        with on_terminal(*command, env=token) as terminal:
            terminal.answer("send it all the same? [y/N]", answer)
            assert terminal.end() == 0
            assert "notes.txt" in terminal.output
        assert paths(mine) == sent


def edit_record(me: Person, field: str, value: str) -> None:
    """Change a field of ``dandiset.yaml``, as an editor does."""
    record = me.folder / "dandiset.yaml"
    fields = json.loads(record.read_text())
    record.unlink()
    record.write_text(json.dumps(fields | {field: value}, indent=2))


def test_an_edited_record_of_the_dandiset_is_sent_with_the_files_and_the_tree_is_what_a_sync_makes(
    me: Person, mine: Dandiset, cli: Cli
) -> None:
    edit_record(me, "name", "Another name")
    me.write("notes.txt", b"new")
    assert "    edit             dandiset.yaml: name\n" in cli.upload("-n", "--include", "notes.txt")
    assert me.writes() == []
    cli.upload("--include", "notes.txt")
    assert (mine.draft.name, mine.draft.metadata["name"]) == ("Another name", "Another name")
    assert '"name": "Another name"' in (me.folder / "dandiset.yaml").read_text()
    assert me.git("status", "--porcelain") == ""
    assert cli.upload() == "nothing to send: the archive has all of it\n"


def test_a_record_that_somebody_else_changed_meanwhile_or_the_schema_forbids_is_refused_and_files_go_up(
    me: Person, mine: Dandiset, cli: Cli
) -> None:
    edit_record(me, "name", "Another name")
    mine.set_metadata({**mine.draft.given, "keywords": ["theirs"]})
    me.write("notes.txt", b"new")
    said = cli.upload("--include", "notes.txt", code=3)
    assert "dandiset.yaml: somebody else changed the record at the archive since the last sync" in said
    assert "notes.txt" in paths(mine) and mine.draft.name != "Another name"
    edit_record(me, "name", "")
    said = cli.upload(code=3)
    assert "dandiset.yaml: a Dandiset needs a title (the field name); take your edits back: " in said
    command = said.rpartition("take your edits back: ")[2].splitlines()[0]
    run(*command.split(), cwd=me.folder)
    assert cli.upload() == "nothing to send: the archive has all of it\n"


def test_a_record_that_a_killed_upload_has_sent_is_not_sent_again(me: Person, mine: Dandiset, cli: Cli) -> None:
    edit_record(me, "name", "Another name")
    mine.set_metadata({**mine.draft.given, "name": "Another name"})
    cli.upload()
    assert me.writes() == [] and me.git("status", "--porcelain") == ""


def test_a_name_that_the_archive_does_not_take_is_refused_by_all_three(
    me: Person, mine: Dandiset, cli: Cli, tmp_path: Path
) -> None:
    source = write_nwb(tmp_path / "lab" / "a.nwb", subject="Mäuse Ä1")
    for mode in (("-n",), ("-f", "move")):
        done = run("dandi-mirror", "organize", str(source), *mode, cwd=me.folder, code=3)
        assert "sub-Mäuse-Ä1" in done.stdout + done.stderr
        said = done.stdout + done.stderr
        assert "the archive does not accept Ä ä in a path; change in the file its subject_id, session_id" in said
    assert source.exists() and not (me.folder / "sub-Mäuse-Ä1").exists()
    assert me.git("status", "--porcelain") == ""
    me.write("sub-Ä1/sub-Ä1.nwb", source.read_bytes())
    assert ("error", "DANDI_MIRROR.PATH", "sub-Ä1/sub-Ä1.nwb") in cli.validate(code=3)
    (failure,) = me.upload().failures.values()
    assert failure.startswith("the archive does not accept Ä in a path; rename it, with letters A-Z")


# --- BIDS ---------------------------------------------------------------------------------------------------


@pytest.fixture
def readable() -> Iterator[Path]:
    """A folder that is not below /dev, where the validator of BIDS may read nothing."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def write_bids(folder: Path) -> None:
    """A dataset with two good NWB files, in which nothing is wrong."""
    texts = {
        "dataset_description.json": '{"Name": "a study", "BIDSVersion": "1.9.0"}',
        "README": "a study of mice and men\n" * 10,
        "participants.tsv": "participant_id\nsub-01\nsub-02\n",
    }
    for subject in ("01", "02"):
        place = f"sub-{subject}/ieeg/sub-{subject}"
        write_nwb(folder / f"{place}_task-rest_ieeg.nwb", subject=subject)
        texts |= {
            f"{place}_task-rest_ieeg.json": '{"TaskName": "rest", "SamplingFrequency": 100, "PowerLineFrequency": 50, '
            '"SoftwareFilters": "n/a", "iEEGReference": "x"}',
            f"{place}_task-rest_channels.tsv": "name\ttype\tunits\tlow_cutoff\thigh_cutoff\nc1\tSEEG\tuV\tn/a\tn/a\n",
            f"{place}_electrodes.tsv": "name\tx\ty\tz\tsize\nc1\t1\t1\t1\t1\n",
            f"{place}_coordsystem.json": '{"iEEGCoordinateSystem": "Other", '
            '"iEEGCoordinateSystemDescription": "x", "iEEGCoordinateUnits": "mm"}',
        }
    for path, text in texts.items():
        (folder / path).write_text(text)


def test_of_a_bids_dataset_what_has_an_error_of_its_own_is_refused_and_all_else_goes_up(
    mine: Dandiset, mirror: MirrorOfTest, worker: Worker, readable: Path, token: dict[str, str]
) -> None:
    for path in THERE:
        mine.delete_asset(path)
    mirror = MirrorOfTest(readable / "mirror", mirror.server)
    mirror.sync()
    me = Person(readable / "mirror" / "000123", mirror.server, worker)
    write_bids(me.folder)
    (me.folder / "sub-01" / "anat").mkdir()
    good = [path for path in me.git("ls-files", "--others").splitlines() if not path.startswith(".")]
    bad = ["patients.xlsx", "sub-01/anat/sub-01_T1w.json", "sub-01/anat/sub-01_T1w.nii.gz"]
    for path in bad:
        me.write(path, b"{broken")
    cli = Cli(me, token)
    found = cli.validate(code=3)
    assert sorted(path for severity, _, path in found if severity == "error") == bad
    said = cli.upload(code=3)
    for path in bad:
        assert f"{path}: not valid: " in said
        assert f"see them: dandi-mirror validate {path}" in said
    assert paths(mine) == sorted(good), (
        "also the description, though the dataset has errors, and dandiset.yaml is in it"
    )
    record = mine.draft.asset_at("sub-01/ieeg/sub-01_task-rest_ieeg.nwb")
    assert record and record.metadata["wasAttributedTo"][0]["identifier"] == "01"
    # mended, it has nothing against it
    for path in bad:
        (me.folder / path).unlink()
    assert cli.validate("--all") == []
