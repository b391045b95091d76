"""What the surroundings of a command do to it: a port, an output, a folder, a source; said in plain words."""

from __future__ import annotations

import errno
import shlex
import sys
from pathlib import Path

import pytest

from dandi_mirror.demo import programs
from dandi_mirror.embedded import Archive, Server
from dandi_mirror.errors import DiskError, IntegrityError, uncaught
from dandi_mirror.repo.git.process import failure
from tests.conftest import MirrorOfTest, run
from tests.support.dandisets import seed

PROGRAM = f"{shlex.quote(sys.executable)} -m dandi_mirror"


def test_a_port_that_is_taken_is_named_with_what_to_type(server: Server) -> None:
    port = server.origin.rpartition(":")[2]
    said = run("dandi-mirror", "archive", "serve", "--empty", "--port", port, code=2).stderr
    assert said == (
        f"dandi-mirror: cannot listen on port {port}: Address already in use; name another one: -p PORT, or 0 for any\n"
    )


@pytest.mark.parametrize("form", ["croissant", "metalink", "ro-crate"])
def test_an_export_to_a_full_disk_ends_with_6(form: str, archive: Archive, mirror: MirrorOfTest) -> None:
    seed(archive)
    mirror.cli("sync", "000123")
    typed = f"{PROGRAM} export 000123@draft --as {form} -o - -d {shlex.quote(str(mirror.path))} >/dev/full"
    said = run("sh", "-c", typed, code=6).stderr
    assert said == "dandi-mirror: cannot write the output: No space left on device\n"


@pytest.mark.parametrize("command", ["status", "sync 000123", "ls 000123", "get 000123", "verify", "create --name x"])
def test_a_command_in_a_folder_that_was_deleted_says_so(command: str, tmp_path: Path) -> None:
    (folder := tmp_path / "gone").mkdir()
    said = run("sh", "-c", f'rmdir "$PWD"; exec {PROGRAM} {command}', cwd=folder, code=2).stderr
    assert said == "dandi-mirror: the folder that you are in does not exist any more; go to another one: cd DIR\n"


def test_a_clone_of_a_damaged_dataset_is_refused_with_what_repairs_it(archive: Archive, mirror: MirrorOfTest) -> None:
    seed(archive).publish("0.240101.0000", created="2024-01-01T00:00:00Z")
    mirror.cli("sync", "000123")
    (mirror.path / "000123/.git/refs/heads/draft").write_text("")
    done = mirror.cli("get", "000123@0.240101.0000", str(mirror.path.parent / "clone"), code=7)
    assert "unexpected" not in done.stderr and "its git repository is damaged (.git/refs/heads/draft" in done.stderr
    assert f"dandi-mirror verify 000123 --repair -d {mirror.path}" in done.stderr
    assert not (mirror.path.parent / "clone").exists()


def test_a_demo_that_has_no_room_ends_with_6_on_one_line(tmp_path: Path) -> None:
    said = run("dandi-mirror", "demo", "--keep", "/dev/null/demo", code=6).stderr
    assert said == "dandi-mirror: /dev/null/demo: Not a directory\n"
    with pytest.raises(DiskError) as full:
        programs.run(tmp_path, "sh", "-c", "printf 'x: No space left on device\\nfailed\\n' >&2; exit 1")
    assert str(full.value).endswith("x: No space left on device failed")
    with pytest.raises(IntegrityError):
        programs.run(tmp_path, "sh", "-c", "echo no; exit 1")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_trouble_of_the_disk_that_nothing_catches_is_no_defect(number: int, tmp_path: Path) -> None:
    message, code = uncaught(OSError(number, "what the system says", str(tmp_path / "x")))
    assert (message, code) == (f"{tmp_path / 'x'}: what the system says", 6)
    message, code = uncaught(OSError(errno.ENOTTY, "what the system says"))
    assert code == 1 and message.startswith("unexpected: OSError")


def test_a_disk_that_is_full_in_the_middle_of_a_check_out_is_told_once_from_the_beginning_of_a_sentence() -> None:
    names = [f"sub-{number}/sub-{number}_ses-1_ecephys.nwb" for number in range(20)]
    said = "".join(f"error: unable to create symlink {name}: No space left on device\n" for name in names)
    error = failure(Path("/m"), ["read-tree", "-m"], 128, said.encode())
    assert isinstance(error, DiskError)
    assert str(error) == f"/m: error: unable to create symlink {names[0]}: No space left on device"
    said = "error: " + "what git says about something " * 50
    assert "128: … " in str(failure(Path("/m"), ["read-tree", "-m"], 128, said.encode()))


def test_files_that_a_check_out_did_not_write_are_no_local_edits(archive: Archive, mirror: MirrorOfTest) -> None:
    seed(archive)
    mirror.cli("sync", "000123")
    commit = mirror.git("rev-parse", "draft")
    (mirror.path / "000123/.git/dandi-mirror-checkout").write_text(f"{commit} {commit}\n")
    (mirror.path / "000123/dandiset.yaml").unlink()
    assert "edit" not in mirror.cli("status").stdout
    (mirror.path / "000123/.git/dandi-mirror-checkout").unlink()
    assert "1 local edit" in mirror.cli("status").stdout
