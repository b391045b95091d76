"""Files that nobody should read: each is its own error, and the next file is read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import pytest

from dandi_mirror.upload.read.worker import Worker
from dandi_mirror.upload.read.worker_process import FileError, Limits, WorkerProcess
from tests.support.children import children_of, reader_of
from tests.support.nwb import truncated, write_nwb
from tests.support.waiting import LONG, SOON


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A file with which nothing is wrong."""
    return write_nwb(tmp_path / "sub-m1" / "sub-m1_ses-s1.nwb")


@pytest.fixture
def worker() -> Iterator[Worker]:
    """One process at a time."""
    with Worker(limits=Limits(seconds=20, memory=1 << 30)) as worker:
        yield worker


@pytest.fixture
def hasty() -> Iterator[Worker]:
    """One that is given up soon."""
    with Worker(limits=Limits(seconds=2)) as worker:
        yield worker


def children() -> set[int]:
    """The processes that this one has started."""
    return children_of(os.getpid())


def opening(besides: set[int]) -> int:
    """A process that this one has started and that waits for a file to open."""
    while True:
        for child in children() - besides:
            # numbers of openat: x86-64, and where numbers are new
            if Path(f"/proc/{child}/syscall").read_text().startswith(("257 ", "56 ")):
                time.sleep(0.1)
                if Path(f"/proc/{child}/syscall").read_text().startswith(("257 ", "56 ")):
                    return child
        time.sleep(0.01)


def test_a_truncated_file_is_that_files_error_and_its_process_goes_on(
    worker: Worker, good: Path, tmp_path: Path
) -> None:
    assert worker.nwb_facts(good)["subject_id"] == "m1"
    before = children()
    with pytest.raises(FileError, match="truncated file") as failed:
        worker.nwb_facts(truncated(tmp_path / "cut.nwb"))
    assert "\n" not in str(failed.value)
    assert worker.nwb_facts(good)["session_id"] == "s1"
    assert children() == before


def test_a_file_that_never_ends_or_crashes_the_reader_is_given_up_and_the_next_one_is_read(
    hasty: Worker, good: Path, tmp_path: Path
) -> None:
    others = children()
    hasty.schema_version()
    before = children()
    os.mkfifo(tmp_path / "pipe.nwb")
    began = time.monotonic()
    with pytest.raises(FileError, match="did not end within 2 seconds"):
        hasty.nwb_facts(tmp_path / "pipe.nwb")
    assert time.monotonic() - began < SOON
    assert not children() & (before - others), "the process that hangs is gone"
    hasty.schema_version()
    crashed: set[int] = set()

    def crash() -> None:
        for _ in range(2):
            child = opening(crashed)
            os.kill(child, signal.SIGSEGV)
            crashed.add(child)

    threading.Thread(target=crash, daemon=True).start()
    with pytest.raises(FileError, match=r"crashed the reader \(SIGSEGV\)"):
        hasty.nwb_facts(tmp_path / "pipe.nwb")
    assert len(crashed) == 2, "one that had read other files before, and a fresh one"
    assert hasty.nwb_facts(good)["subject_id"] == "m1"


def test_a_file_that_has_hdf5_read_another_one_is_not_read(worker: Worker, good: Path, tmp_path: Path) -> None:
    import h5py

    (tmp_path / "secret.txt").write_bytes(b"a secret")
    with h5py.File(good, "r+") as file:
        name = str(tmp_path / "secret.txt")
        file.create_dataset("general/notes", shape=(8,), dtype="S1", external=[(name, 0, 8)])
    with pytest.raises(FileError, match="is in another file") as failed:
        worker.nwb_facts(good)
    assert "a secret" not in str(failed.value)
    (found,) = worker.findings(good, "sub-m1/sub-m1_ses-s1.nwb", tmp_path)
    assert found["severity"] == "ERROR" and "secret.txt" in found["message"]
    with h5py.File(tmp_path / "linked.nwb", "w") as file:
        file["elsewhere"] = h5py.ExternalLink(str(good), "/")
    with pytest.raises(FileError, match="/elsewhere is a link to another file"):
        worker.nwb_facts(tmp_path / "linked.nwb")


def test_a_file_that_is_a_maze_is_given_up_at_once(worker: Worker, tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "deep.nwb", "w") as file:
        group = file
        for _ in range(3000):
            group = group.create_group("g")
    with pytest.raises(FileError, match="nested more than 100 deep"):
        worker.nwb_facts(tmp_path / "deep.nwb")
    with h5py.File(tmp_path / "round.nwb", "w") as file:
        file["g/itself"] = file["/"]
    with pytest.raises(FileError, match="go round in a circle at /g/itself"):
        worker.nwb_facts(tmp_path / "round.nwb")


def test_a_huge_attribute_takes_neither_our_memory_nor_a_name(worker: Worker, good: Path) -> None:
    import h5py

    with h5py.File(good, "r+") as file:
        del file["general/subject/subject_id"]
        file["general/subject/subject_id"] = "x" * (64 << 20)
    facts = worker.nwb_facts(good)
    assert len(facts["subject_id"]) == 2000
    with h5py.File(good, "r+") as file:
        file["general"].attrs["object_id"] = "y"
        del file["session_description"]
        file.create_dataset("session_description", data=b"z" * (40 << 20))
    with pytest.raises(FileError, match="more than 32 MiB"):
        worker.asset_metadata(good, "sub-m1/sub-m1_ses-s1.nwb", good.parent.parent, {"dandi:dandi-etag": "0-1"}, "")


@pytest.mark.parametrize("late", [False, True])
def test_a_file_that_claims_more_than_there_is_room_for_is_given_up(
    worker: Worker, good: Path, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import h5py

    with h5py.File(good, "r+") as file:
        # 19 kB of file, 8 GB when it is read
        file.create_dataset("general/keywords", shape=(1 << 30,), dtype="S8", chunks=(1 << 20,), compression="gzip")
    with pytest.raises(FileError, match=r"memory|crashed|did not end"), monkeypatch.context() as patched:
        if late:
            # the reader has ended by itself before it is ended; what it tidies up, the next one needs
            kill = WorkerProcess.kill
            patched.setattr(WorkerProcess, "kill", lambda reader: (reader._child.wait(20), kill(reader)))
        worker.nwb_facts(good)
    assert worker.schema_version()


def test_no_token_no_network_and_no_home_of_the_users_is_given_away(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setenv("DANDI_API_KEY", "secret")
    monkeypatch.setenv("DANDI_DEVEL", "1")
    before = children()
    worker.schema_version()
    (child,) = children() - before
    environment = Path(f"/proc/{child}/environ").read_bytes()
    assert b"secret" not in environment and b"DANDI_DEVEL" not in environment
    assert f"HOME={home}".encode() not in environment
    assert b"DANDI_NO_ET=1" in environment


def test_no_process_and_no_file_is_left(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    before = children()
    with Worker() as worker:
        worker.nwb_facts(good)
        assert children() - before
        assert list((tmp_path / "tmp").iterdir())
    assert children() == before
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.parametrize("field", ["general/subject/subject_id", "general/subject/age", "general/session_id"])
def test_a_number_where_nwb_has_text_is_named_with_what_to_write(field: str, good: Path, worker: Worker) -> None:
    with h5py.File(good, "a") as file:
        del file[field]
        file[field] = 7
    with pytest.raises(FileError) as refused:
        worker.nwb_facts(good)
    name = field.rpartition("/")[2]
    assert str(refused.value) == (
        f"{field} is a number (7), and NWB has text there; write the file again with text: {name}='7'"
    )


def test_ctrl_c_ends_a_run_whose_reader_hangs_and_leaves_nothing(good: Path, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    command = [sys.executable, "-X", "faulthandler", "-m", "dandi_mirror", "validate", str(good)]
    run = subprocess.Popen(
        command, env=os.environ | {"TMPDIR": str(tmp_path / "tmp")}, stderr=subprocess.PIPE, text=True
    )
    reader = reader_of(run.pid)
    os.kill(reader, signal.SIGSTOP)
    run.send_signal(signal.SIGINT)
    began = time.monotonic()
    try:
        _, said = run.communicate(timeout=LONG)
    except subprocess.TimeoutExpired:
        run.send_signal(signal.SIGABRT)
        raise AssertionError(f"it hangs at {run.communicate()[1]}") from None
    assert run.returncode == 130 and said.strip().startswith("interrupted")
    assert time.monotonic() - began < SOON
    assert not Path(f"/proc/{reader}").exists()
    assert not list((tmp_path / "tmp").iterdir())


def test_a_reader_whose_asker_was_killed_leaves_nothing_either(good: Path, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    program = "from pathlib import Path; from dandi_mirror.upload.read.worker import Worker; import os, sys\n"
    program += "print(Worker().nwb_facts(Path(sys.argv[1]))['subject_id'], flush=True); os.kill(os.getpid(), 9)"
    environment = os.environ | {"TMPDIR": str(tmp_path / "tmp")}
    done = subprocess.run([sys.executable, "-c", program, str(good)], env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (-9, b"m1\n")
    for _ in range(500):
        if not list((tmp_path / "tmp").iterdir()):
            return
        time.sleep(0.01)
    raise AssertionError(f"left: {list((tmp_path / 'tmp').rglob('*'))}")
