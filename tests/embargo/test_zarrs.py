"""Content of Zarrs under embargo, by stock git-annex and DataLad."""

from __future__ import annotations

from pathlib import Path

from starlette.responses import Response

from dandi_mirror.archive.instances import token_variable
from dandi_mirror.embedded import Dandiset, Request, Zarr
from dandi_mirror.mirror.zarr.repository import repository_name
from dandi_mirror.repo.git.programs import VERIFIES_PARTS
from tests.conftest import MirrorOfTest, run
from tests.support.credentials import TOKEN
from tests.support.embargo import with_token
from tests.support.versions import is_older, needs_git_annex
from tests.support.zarrs import SMALL, a_zarr, in_parts

PATH = "sub-1/x.ome.zarr"
LARGE = b"sent in parts" * 300


def a_clone(closed: Dandiset, mirror: MirrorOfTest, token: dict[str, str], folder: Path) -> tuple[Zarr, Path]:
    """A Zarr under embargo, and a plain clone of the repository that a mirror has of it."""
    zarr = a_zarr(closed, PATH, {**SMALL, "arr/2": in_parts(LARGE)})
    mirror.cli("sync", "000123", "--embargoed", env=token)
    run("git", "clone", "-q", str(mirror.path / repository_name(zarr.zarr_id)), str(folder / "clone"))
    mirror.server.requests.clear()
    mirror.server.intercept = _refuse_strangers
    return zarr, folder / "clone"


def _refuse_strangers(request: Request) -> Response | None:
    """What the API should do: today's gives the entries of any Zarr to everybody who knows its id."""
    stranger = "/api/zarr/" in request.path and "authorization" not in request.headers
    return Response(b"", 401) if stranger else None


def test_stock_git_annex_gets_every_entry_with_the_token_which_goes_to_the_api_only(
    closed: Dandiset, mirror: MirrorOfTest, token: dict[str, str], tmp_path: Path
) -> None:
    _, clone = a_clone(closed, mirror, token, tmp_path)
    run("git", "annex", "get", "--quiet", *SMALL, cwd=clone, env=token)
    assert {path: (clone / path).read_bytes() for path in SMALL} == SMALL
    asked = with_token(mirror.server)
    assert asked and all(request.path.startswith("/api/zarr/") for request in asked)
    run("git", "annex", "fsck", "--quiet", cwd=clone)
    # the archive is asked before the last copy is dropped
    run("git", "annex", "drop", "--quiet", ".", cwd=clone, code=1)
    run("git", "annex", "drop", "--quiet", ".", cwd=clone, env=token)
    run("datalad", "get", "-J", "2", *SMALL, cwd=clone, env=token)
    assert {path: (clone / path).read_bytes() for path in SMALL} == SMALL
    assert run("grep", "-rl", TOKEN, str(clone), code=None).stdout == ""


@needs_git_annex(VERIFIES_PARTS, "an older one says that this is not secure, and gets none")
def test_stock_git_annex_gets_an_entry_that_was_sent_in_parts(
    closed: Dandiset, mirror: MirrorOfTest, token: dict[str, str], tmp_path: Path
) -> None:
    _, clone = a_clone(closed, mirror, token, tmp_path)
    run("git", "annex", "get", "--quiet", "arr/2", cwd=clone, env=token)
    assert (clone / "arr/2").read_bytes() == LARGE


def test_get_brings_every_entry_with_the_token_which_goes_to_the_api_only(
    closed: Dandiset, mirror: MirrorOfTest, token: dict[str, str], tmp_path: Path
) -> None:
    a_clone(closed, mirror, token, tmp_path)
    clone = mirror.git_clone(tmp_path / "dataset")
    names = [f"{PATH}/{name}" for name in SMALL]
    run("dandi-mirror", "get", *names, cwd=clone, env=token, code=None)  # arr/2 lacks, and so do the metadata of arr
    here = {path: (clone / PATH / path).read_bytes() for path in SMALL if (clone / PATH / path).exists()}
    assert here == {path: content for path, content in SMALL.items() if path != "arr/.zarray"}
    asked = with_token(mirror.server)
    assert len(asked) >= len(here) and all(request.path.startswith("/api/zarr/") for request in asked)
    assert run("grep", "-rl", TOKEN, str(clone), code=None).stdout == ""


def test_get_brings_an_entry_that_was_sent_in_parts_or_names_the_git_annex_that_can(
    closed: Dandiset, mirror: MirrorOfTest, token: dict[str, str], tmp_path: Path
) -> None:
    a_clone(closed, mirror, token, tmp_path)
    clone = mirror.git_clone(tmp_path / "dataset")
    old = is_older(VERIFIES_PARTS)
    done = run("dandi-mirror", "get", f"{PATH}/arr/2", cwd=clone, env=token, code=3 if old else 0)
    assert old == ("git-annex 10.20240227 and newer can: pip install -U git-annex" in done.stdout + done.stderr)
    assert old or (clone / PATH / "arr/2").read_bytes() == LARGE


def test_without_a_key_git_annex_shows_what_to_type(
    closed: Dandiset, mirror: MirrorOfTest, token: dict[str, str], tmp_path: Path
) -> None:
    _, clone = a_clone(closed, mirror, token, tmp_path)
    done = run("git", "annex", "get", "arr/0/0", cwd=clone, code=1)
    variable = token_variable(mirror.server.api_url)
    assert (
        f"put your API key into {variable}, or type it once on a terminal: dandi-mirror login"
        in done.stdout + done.stderr
    )
    assert with_token(mirror.server) == []
    assert not (clone / "arr/0/0").exists()


def test_when_the_embargo_ends_a_plain_clone_needs_no_token(
    closed: Dandiset, mirror: MirrorOfTest, token: dict[str, str], tmp_path: Path
) -> None:
    zarr, _ = a_clone(closed, mirror, token, tmp_path)
    closed.set_embargo("OPEN")
    mirror.server.intercept = None
    mirror.cli("sync", "000123")
    run("git", "clone", "-q", str(mirror.path / repository_name(zarr.zarr_id)), str(tmp_path / "open"))
    run("git", "annex", "get", "--quiet", *SMALL, cwd=tmp_path / "open")
    assert (tmp_path / "open/arr/0/0").read_bytes() == SMALL["arr/0/0"]
