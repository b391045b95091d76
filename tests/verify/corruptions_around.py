"""Corruptions around a dataset: of git's index and settings, of the superdataset, of what the mirror remembers."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import stat
from pathlib import Path

from tests.support.damaging import blob, commit, flip, git, loosen, write

# --- around the dataset --------------------------------------------------------------------------------------------


def cut_the_index_of_git(folder: Path, chance: random.Random) -> None:
    write(folder / ".git/index", b"DIRC")


def flip_the_index_of_git(folder: Path, chance: random.Random) -> None:
    file = folder / ".git/index"
    flip(file, chance.randrange(file.stat().st_size))


def leave_a_lock(folder: Path, chance: random.Random) -> None:
    (folder / ".git" / chance.choice(["index.lock", "HEAD.lock", "refs/heads/draft.lock"])).write_bytes(b"")


def leave_a_temporary_ref(folder: Path, chance: random.Random) -> None:
    git(folder, "update-ref", "refs/dandi-mirror/tmp/draft", "draft")


def let_everybody_write(folder: Path, chance: random.Random) -> None:
    target = chance.choice([folder, folder / ".git", folder / ".git/objects"])
    target.chmod(target.stat().st_mode | stat.S_IWOTH)


def put_an_api_key_into_the_config(folder: Path, chance: random.Random) -> None:
    git(folder, "config", "http.extraheader", "Authorization: token " + "ab" * 20)


def put_a_signed_url_into_an_object(folder: Path, chance: random.Random) -> None:
    blob(folder, "https://b.s3.amazonaws.com/x?X-Amz-Signature=" + "0123456789abcdef" * 4)


def put_an_api_key_into_a_log(folder: Path, chance: random.Random) -> None:
    logs = folder.parent / ".dandi-mirror/log"
    logs.mkdir(exist_ok=True)
    (logs / "20240101T000000.000000Z-1.jsonl").write_text('{"x": "Authorization: token ' + "cd" * 20 + '"}\n')


def leave_content_where_a_repair_set_it_aside(folder: Path, chance: random.Random) -> None:
    aside = folder.parent / ".dandi-mirror/damaged" / folder.name / ".git/annex"
    aside.mkdir(parents=True)
    (folder / ".git/annex/objects").rename(aside / "objects")


def set_the_dataset_aside(folder: Path, chance: random.Random) -> None:
    aside = folder.parent / ".dandi-mirror/damaged"
    aside.mkdir()
    folder.rename(aside / folder.name)


def unregister_the_dataset(folder: Path, chance: random.Random) -> None:
    top = folder.parent
    commit(top, "draft", {folder.name: None})


def register_another_commit(folder: Path, chance: random.Random) -> None:
    commit(folder.parent, "draft", {folder.name: ("160000", "2" * 40)})


def change_the_modules(folder: Path, chance: random.Random) -> None:
    modules = git(folder.parent, "cat-file", "blob", "draft:.gitmodules").replace("url = ./", "url = ../", 1)
    commit(folder.parent, "draft", {".gitmodules": ("100644", blob(folder.parent, modules + "\n"))})


def lose_the_modules(folder: Path, chance: random.Random) -> None:
    commit(folder.parent, "draft", {".gitmodules": None})


def lose_the_superdataset(folder: Path, chance: random.Random) -> None:
    shutil.rmtree(folder.parent / ".git")


def empty_an_object_of_the_superdataset(folder: Path, chance: random.Random) -> None:
    write(chance.choice(loosen(folder.parent)), b"")


def spoil_the_index(folder: Path, chance: random.Random) -> None:
    file = folder.parent / ".dandi-mirror/index.sqlite"
    content = bytearray(file.read_bytes())
    content[100:4096] = os.urandom(3996)
    file.write_bytes(bytes(content))


def let_the_index_be_stale(folder: Path, chance: random.Random) -> None:
    with sqlite3.connect(folder.parent / ".dandi-mirror/index.sqlite") as database:
        database.execute("UPDATE dandiset SET branch = ? WHERE id = ?", ["3" * 40, folder.name])
    database.close()


def let_the_index_forget(folder: Path, chance: random.Random) -> None:
    with sqlite3.connect(folder.parent / ".dandi-mirror/index.sqlite") as database:
        database.execute("DELETE FROM dandiset WHERE id = ?", [folder.name])
    database.close()


def lose_what_the_dataset_remembers(folder: Path, chance: random.Random) -> None:
    (folder / ".git/dandi-mirror-sync.json").unlink()


def spoil_what_is_known_of_the_draft(folder: Path, chance: random.Random) -> None:
    file = folder.parent / f".dandi-mirror/known/{folder.name}.sqlite"
    content = bytearray(file.read_bytes())
    content[200:4096] = os.urandom(3896)
    file.write_bytes(bytes(content))
