"""Real places that a mirror is pushed to, and real clones from there: RIA stores, ssh, and static web servers."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dandi_mirror.config import FILE
from dandi_mirror.embedded import Archive
from tests.conftest import MirrorOfTest, run
from tests.support.forge import TOKEN, Forge, serving
from tests.support.published import TAG, seed
from tests.support.recording import make_certificate
from tests.support.ssh_server import free_port, running, ssh_server
from tests.support.web_server import let_git_read

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
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


# --- RIA stores ---------------------------------------------------------------------------------------------


@pytest.mark.slow
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
    with ssh_server(tmp_path / "ssh", monkeypatch) as place:
        yield place


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


@pytest.mark.parametrize("kind", ["forgejo", "gitea", "gogs"])
def test_a_service_gets_private_repositories_and_pushes_by_ssh(
    mirror: MirrorOfTest, tmp_path: Path, ssh: str, kind: str
) -> None:
    certificate = make_certificate(tmp_path / "certificate.pem")
    with serving(Forge(tmp_path / "forge", ssh, taken=422 if kind == "gogs" else 409), certificate) as forge:
        table = (
            f'[sibling.there]\nurl = "{forge.url}/lab/dandi"\ntype = "{kind}"\nprivate = true\ncredential = "forge"\n'
        )
        (mirror.path / FILE).write_text(table)
        env = {"DATALAD_CREDENTIAL_FORGE_TOKEN": TOKEN, "REQUESTS_CA_BUNDLE": str(certificate)}
        done = mirror.cli("push", env=env)
        assert done.stderr == ""
        assert done.stdout.splitlines() == [f"000123  there  {TAG}, draft, git-annex", "superdataset  there  draft"]
        assert {name: facts["private"] for name, facts in forge.repositories.items()} == {
            "lab/000123": True, "lab/dandi": True,
        }  # fmt: skip
        equal(mirror, str(tmp_path / "forge/lab/000123.git"))
        assert mirror.cli("push", env=env).stdout == ""
        # a repository that is there already is taken as it is
        mirror.git("remote", "remove", "there")
        assert mirror.cli("push", "--mode", "verify", env=env).stderr == ""
        assert mirror.git("remote", "get-url", "there") == forge.repositories["lab/000123"]["ssh_url"]
    gets(str(tmp_path / "forge/lab/000123.git"), tmp_path / "clone")


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
    let_git_read(mirror.path)
    www, scratch = tmp_path / "www", tmp_path / "scratch"
    scratch.mkdir()
    shutil.copytree(mirror.path, www / "dandi", symlinks=True, ignore=shutil.ignore_patterns(".dandi-mirror"))
    with python_server(www, scratch) as url:
        run("datalad", "clone", f"{url}/dandi", str(tmp_path / "all"))
        gets_in_superdataset(tmp_path / "all")


def test_config_says_once_in_which_file_a_sibling_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "dandi-mirror.toml"
    file.write_text('[sibling.good]\nurl = "/srv/dandi"\n[sibling.bad]\nurl = "nonsense"\n')
    *_, good, bad = run("dandi-mirror", "config", "-d", str(tmp_path)).stdout.splitlines()
    assert good.startswith("sibling.good ") and good.endswith(f"({file})")
    assert bad.startswith(f"sibling.bad        {file}: sibling 'bad': its url must be")
    assert bad.count(file.name) == 1
