"""Corruptions of what a dataset says about its Zarrs, and of content that is installed."""

from __future__ import annotations

import random
from pathlib import Path

from tests.support.damaging import blob, commit, flip, git, write

# --- gitlinks, .gitmodules, records -----------------------------------------------------------------------------------


def _links(folder: Path) -> list[list[str]]:
    lines = git(folder, "ls-tree", "-r", "draft").splitlines()
    return [line.split(maxsplit=3) for line in lines if line.startswith("160000")]


def change_the_gitlink_of_a_zarr(folder: Path, chance: random.Random) -> None:
    commit(folder, "draft", {chance.choice(_links(folder))[3]: ("160000", "4" * 40)})


def swap_the_gitlinks_of_two_zarrs(folder: Path, chance: random.Random) -> None:
    one, other = chance.sample(_links(folder), 2)
    commit(folder, "draft", {one[3]: ("160000", other[2]), other[3]: ("160000", one[2])})


def lose_the_gitlink_of_a_zarr(folder: Path, chance: random.Random) -> None:
    commit(folder, "draft", {chance.choice(_links(folder))[3]: None})


def lose_the_modules_of_the_dataset(folder: Path, chance: random.Random) -> None:
    commit(folder, "draft", {".gitmodules": None})


def name_another_state_in_the_modules(folder: Path, chance: random.Random) -> None:
    modules = git(folder, "cat-file", "blob", "draft:.gitmodules")
    states = [line.split(" = ")[1] for line in modules.splitlines() if "zarr-checksum" in line]
    state = chance.choice(states)
    new = modules.replace(state, "0" * 32 + state[32:]) + "\n"
    commit(folder, "draft", {".gitmodules": ("100644", blob(folder, new))})


def let_the_modules_lead_elsewhere(folder: Path, chance: random.Random) -> None:
    modules = git(folder, "cat-file", "blob", "draft:.gitmodules").replace("url = ../zarr", "url = ../../zarr", 1)
    commit(folder, "draft", {".gitmodules": ("100644", blob(folder, modules + "\n"))})


def give_a_zarr_another_dataset_id(folder: Path, chance: random.Random) -> None:
    modules = git(folder, "cat-file", "blob", "draft:.gitmodules")
    (line, *_) = [line for line in modules.splitlines() if "datalad-id" in line]
    new = modules.replace(line, line[:-4] + ("0000" if line[-4:] != "0000" else "1111")) + "\n"
    commit(folder, "draft", {".gitmodules": ("100644", blob(folder, new))})


def put_a_file_in_place_of_a_zarr(folder: Path, chance: random.Random) -> None:
    commit(folder, "draft", {chance.choice(_links(folder))[3]: ("100644", blob(folder, "a file"))})


def lose_the_record_of_a_zarr(folder: Path, chance: random.Random) -> None:
    lines = git(folder, "cat-file", "blob", "draft:.dandi/assets.jsonl").splitlines()
    lines = [line for line in lines if f'"path":"{_links(folder)[0][3]}"' not in line]
    commit(folder, "draft", {".dandi/assets.jsonl": ("100644", blob(folder, "\n".join(lines) + "\n"))})


# --- content of an installed Zarr ---------------------------------------------------------------------------------


def _chunks(folder: Path) -> list[Path]:
    return sorted(file for file in (folder / ".git/modules").rglob("annex/objects/*/*/*/*") if file.stat().st_size)


def flip_a_chunk(folder: Path, chance: random.Random) -> None:
    file = chance.choice([file for file in _chunks(folder) if file.name.startswith("MD5E")])
    flip(file, chance.randrange(file.stat().st_size))


def cut_a_chunk(folder: Path, chance: random.Random) -> None:
    write(chance.choice(_chunks(folder)), b"")


def lose_a_chunk(folder: Path, chance: random.Random) -> None:
    file = chance.choice(_chunks(folder))
    file.parent.chmod(0o755)
    file.unlink()
