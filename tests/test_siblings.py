"""Real places that a mirror is pushed to, and real clones from there: RIA stores, ssh, and static web servers."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dandi_mirror.config import FILE
from dandi_mirror.embedded import Archive
from tests.conftest import MirrorOfTest, run
from tests.support.published import TAG, seed

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin")
PAGE = Path(__file__).parent.parent / "docs" / "publish-a-mirror.md"


@pytest.fixture
def mirror(archive: Archive, mirror: MirrorOfTest) -> MirrorOfTest:
    """A mirror with one Dandiset."""
    seed(archive, "000123")
    assert mirror.sync().exit_code == 0
    return mirror


def push(mirror: MirrorOfTest, url: str) -> list[str]:
    """What ``push`` says when there is a sibling at ``url``."""
    (mirror.path / FILE).write_text(f'[sibling.there]\nurl = "{url}"\n')
    done = mirror.cli("push")
    assert done.stderr == ""
    return done.stdout.splitlines()


def equal(mirror: MirrorOfTest, repository: str) -> None:
    """What a repository holds is what the mirror holds, as git sees it from outside."""
    lines = run("git", "ls-remote", "--refs", repository).stdout.splitlines()
    there = {ref: oid for oid, _, ref in (line.partition("\t") for line in lines)}
    own = {ref: oid for ref, oid in mirror.refs().items() if ref.startswith(("refs/heads/", "refs/tags/"))}
    assert there == own


def gets(url: str, folder: Path, path: str = "a.nwb") -> None:
    """A clone by DataLad from ``url`` checks out, and brings content."""
    run("datalad", "clone", url, str(folder))
    run("datalad", "get", path, cwd=folder)
    assert (folder / path).read_bytes() == b"content of 000123"


@contextmanager
def running(*command: str, port: int, folder: Path) -> Iterator[None]:
    """A server, from when it listens until the block ends; what it says is in a file ``log`` in ``folder``."""
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 20
        while True:
            assert child.poll() is None, (folder / "log").read_text()
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, "it does not listen"
                time.sleep(0.02)
        yield
    finally:
        child.terminate()
        child.wait(20)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


# --- RIA stores ---------------------------------------------------------------------------------------------


def test_a_ria_store_is_made_by_datalad_and_cloned_by_alias_and_by_id(mirror: MirrorOfTest, tmp_path: Path) -> None:
    annex, store = mirror.git("rev-parse", "git-annex"), f"ria+file://{tmp_path}/store"
    assert push(mirror, store) == [f"000123  there  {TAG}, draft, git-annex", "superdataset  there  draft"]
    assert mirror.git("rev-parse", "git-annex") == annex, "DataLad has written nothing about the store there"
    equal(mirror, mirror.git("remote", "get-url", "there"))
    assert push(mirror, store) == []
    gets(f"{store}#~000123", tmp_path / "one")
    run("datalad", "clone", f"{store}#~dandi-mirror", str(tmp_path / "all"))
    gets_in_superdataset(tmp_path / "all")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with python_server(tmp_path, scratch) as url:
        gets(f"ria+{url}/store#~000123", tmp_path / "by http")
    # a store that is there already is taken as it is
    mirror.git("remote", "remove", "there")
    assert push(mirror, store) == []
    assert mirror.cli("push", "--mode", "verify").stdout == ""
    assert mirror.git("remote", "get-url", "there")


def gets_in_superdataset(clone: Path) -> None:
    run("datalad", "get", "-n", "000123", cwd=clone)
    run("datalad", "get", "000123/a.nwb", cwd=clone)
    assert (clone / "000123" / "a.nwb").read_bytes() == b"content of 000123"


# --- ssh ----------------------------------------------------------------------------------------------------


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """``host:port`` of an ssh server on loopback that lets this user in."""
    if not SSHD:
        pytest.skip("sshd is not installed (Debian: openssh-server)")
    folder, port = tmp_path / "ssh", free_port()
    folder.mkdir(mode=0o700)
    for name in ("host", "mine"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name))
    (folder / "authorized_keys").write_text((folder / "mine.pub").read_text())
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized_keys\n"
        f"PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nSetEnv HOME={os.environ['HOME']}\n"
    )
    (folder / "config").write_text(
        f"IdentityFile {folder}/mine\nIdentitiesOnly yes\nUserKnownHostsFile /dev/null\nStrictHostKeyChecking no\n"
        "LogLevel ERROR\n"
    )
    monkeypatch.setenv("GIT_SSH_COMMAND", f"ssh -F {folder}/config")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with running(SSHD, "-D", "-e", "-f", str(folder / "sshd_config"), port=port, folder=folder):
        if run("ssh", "-F", f"{folder}/config", "-p", str(port), "127.0.0.1", "git", "--version", code=None).returncode:
            pytest.skip(f"sshd lets nobody in here: {(folder / 'log').read_text()[-200:]}")
        yield f"127.0.0.1:{port}"


def test_repositories_are_made_and_pushed_to_by_ssh(mirror: MirrorOfTest, tmp_path: Path, ssh: str) -> None:
    target = tmp_path / "with a 'quote"
    lines = push(mirror, f"ssh://{ssh}{target}")
    assert lines == [f"000123  there  {TAG}, draft, git-annex", "superdataset  there  draft"]
    equal(mirror, str(target / "000123"))
    assert push(mirror, f"ssh://{ssh}{target}") == []
    run("git", "clone", "-q", "--recurse-submodules", f"ssh://{ssh}{target}", "clone", cwd=tmp_path)
    assert (tmp_path / "clone" / "000123" / "a.nwb").is_symlink()


def test_an_ssh_host_that_does_not_answer_is_one_line_a_dataset(mirror: MirrorOfTest) -> None:
    (mirror.path / FILE).write_text(f'[sibling.there]\nurl = "ssh://127.0.0.1:{free_port()}/x"\n')
    done = mirror.cli("push", code=3)
    assert [line.split()[0] for line in done.stderr.splitlines()] == ["000123", "superdataset"]
    assert "refused" in done.stderr


# --- services -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["forgejo", "gitea", "gogs"])
def test_a_service_that_does_not_answer_is_one_line_without_the_token(mirror: MirrorOfTest, kind: str) -> None:
    # as far as this goes without a real one: DataLad takes what it is given, and asks where it was told to
    address = f"https://127.0.0.1:{free_port()}"
    table = f'[sibling.there]\nurl = "{address}/lab/dandi"\ntype = "{kind}"\nprivate = true\ncredential = "forge"\n'
    (mirror.path / FILE).write_text(table)
    secret = {"DATALAD_CREDENTIAL_FORGE_TOKEN": "only-datalad-knows"}
    done = mirror.cli("push", "-l", "debug", code=3, env=secret)
    lines = [line for line in done.stderr.splitlines() if line.startswith(("000123", "superdataset"))]
    assert [line.split()[1] for line in lines] == ["there", "there"]
    assert "/org/lab/repos" in lines[0]
    assert "refused" in lines[0]
    assert "only-datalad-knows" not in done.stderr + done.stdout
    assert "only-datalad-knows" not in (mirror.path / "000123" / ".git" / "config").read_text()


def test_a_clone_from_a_place_without_folders_finds_subdatasets_as_the_page_says(
    mirror: MirrorOfTest, tmp_path: Path
) -> None:
    push(mirror, f"{tmp_path}/pushed")
    (tmp_path / "OWNER").mkdir()
    (tmp_path / "pushed" / "000123").rename(tmp_path / "OWNER" / "000123")
    (tmp_path / "pushed").rename(tmp_path / "OWNER" / "NAME")
    clone = tmp_path / "clone"
    run("datalad", "clone", f"file://{tmp_path}/OWNER/NAME", str(clone))
    run("datalad", "get", "-n", "000123", cwd=clone, code=1)
    (command,) = [line for line in PAGE.read_text().splitlines() if line.startswith("git config datalad.get")]
    run(*shlex.split(command.replace("https://github.com", f"file://{tmp_path}")), cwd=clone)
    gets_in_superdataset(clone)


# --- static web servers -------------------------------------------------------------------------------------


@contextmanager
def python_server(folder: Path, scratch: Path) -> Iterator[str]:
    port = free_port()
    arguments = ("-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(folder))
    with running(sys.executable, *arguments, port=port, folder=scratch):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def nginx_server(folder: Path, scratch: Path) -> Iterator[str]:
    """nginx, set up as the page says."""
    if not NGINX:
        pytest.skip("nginx is not installed (Debian: nginx-light)")
    port = free_port()
    shown = PAGE.read_text().split("```nginx\n", 1)[1].split("```", 1)[0]
    server = shown.replace("listen 80;", f"listen 127.0.0.1:{port};").replace("/srv/www", str(folder))
    assert str(port) in server
    assert str(folder) in server
    paths = "".join(
        f"{kind}_temp_path {scratch}/{kind}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.geteuid() == 0 else ""
    (scratch / "nginx.conf").write_text(
        f"{user}daemon off;\nerror_log stderr;\npid {scratch}/pid;\nworker_processes 1;\nevents {{}}\n"
        f"http {{ access_log {scratch}/access; {paths}\n{server} }}\n"
    )
    arguments = ("-e", "stderr", "-p", str(scratch), "-c", str(scratch / "nginx.conf"))
    with running(NGINX, *arguments, port=port, folder=scratch):
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("serve", [python_server, nginx_server])
def test_a_pushed_mirror_is_cloned_from_a_static_web_server(
    mirror: MirrorOfTest, archive: Archive, tmp_path: Path, serve: object
) -> None:
    assert callable(serve)
    www, scratch = tmp_path / "www", tmp_path / "scratch"
    for folder in (www, scratch):
        folder.mkdir()
    push(mirror, str(www / "dandi"))
    with serve(www, scratch) as url:
        equal(mirror, f"{url}/dandi/000123")
        run("datalad", "clone", f"{url}/dandi", str(tmp_path / "all"))
        gets_in_superdataset(tmp_path / "all")
        # what is new is there with the next push, without a hand at the server
        archive.dandisets["000123"].add_asset("new.nwb", archive.add_blob(b"new"))
        mirror.sync()
        assert push(mirror, str(www / "dandi"))
        equal(mirror, f"{url}/dandi/000123")
        run("git", "clone", "-q", "--recurse-submodules", f"{url}/dandi", "plain", cwd=tmp_path)
        assert (tmp_path / "plain" / "000123" / "new.nwb").is_symlink()


def test_a_copy_of_the_mirrors_own_folder_is_cloned_from_a_static_web_server(
    mirror: MirrorOfTest, tmp_path: Path
) -> None:
    (command,) = [line for line in PAGE.read_text().splitlines() if "update-server-info" in line and "for " in line]
    run("sh", "-c", command.replace("/srv/dandi/mirror", str(mirror.path)))
    www, scratch = tmp_path / "www", tmp_path / "scratch"
    scratch.mkdir()
    shutil.copytree(mirror.path, www / "dandi", symlinks=True, ignore=shutil.ignore_patterns(".dandi-mirror"))
    with python_server(www, scratch) as url:
        run("datalad", "clone", f"{url}/dandi", str(tmp_path / "all"))
        gets_in_superdataset(tmp_path / "all")
