"""What can go wrong with a mirror on disk: each function damages one thing in a dataset, at random."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from tests.support.damaging import Corruption, annexed, blob, commit, flip, git, log_paths, loosen, packed, write
from tests.verify.corruptions_around import (
    change_the_modules,
    cut_the_index_of_git,
    empty_an_object_of_the_superdataset,
    flip_the_index_of_git,
    leave_a_lock,
    leave_a_temporary_ref,
    leave_content_where_a_repair_set_it_aside,
    let_everybody_write,
    let_the_index_be_stale,
    let_the_index_forget,
    lose_the_modules,
    lose_the_superdataset,
    lose_what_the_dataset_remembers,
    put_a_signed_url_into_an_object,
    put_an_api_key_into_a_log,
    put_an_api_key_into_the_config,
    register_another_commit,
    set_the_dataset_aside,
    spoil_the_index,
    spoil_what_is_known_of_the_draft,
    unregister_the_dataset,
)
from tests.verify.zarr_corruptions import ZARR_CORRUPTIONS

VERSION = "0.240101.0000"


# --- objects -------------------------------------------------------------------------------------------------------


def flip_an_object(folder: Path, chance: random.Random) -> None:
    file = chance.choice(loosen(folder))
    flip(file, chance.randrange(file.stat().st_size))


def lose_an_object(folder: Path, chance: random.Random) -> None:
    chance.choice(loosen(folder)).unlink()


def empty_an_object(folder: Path, chance: random.Random) -> None:
    write(chance.choice(loosen(folder)), b"")


def cut_an_object(folder: Path, chance: random.Random) -> None:
    file = chance.choice(loosen(folder))
    write(file, file.read_bytes()[: file.stat().st_size // 2])


def swap_two_objects(folder: Path, chance: random.Random) -> None:
    one, other = chance.sample(loosen(folder), 2)
    contents = one.read_bytes(), other.read_bytes()
    write(one, contents[1])
    write(other, contents[0])


def flip_the_pack(folder: Path, chance: random.Random) -> None:
    file = packed(folder)
    flip(file, chance.randrange(file.stat().st_size))


def cut_the_pack(folder: Path, chance: random.Random) -> None:
    file = packed(folder)
    write(file, file.read_bytes()[: -chance.randrange(1, 200)])


def lose_the_pack(folder: Path, chance: random.Random) -> None:
    packed(folder).unlink()


def flip_the_index_of_the_pack(folder: Path, chance: random.Random) -> None:
    file = packed(folder).with_suffix(".idx")
    flip(file, chance.randrange(8, file.stat().st_size))


# --- refs ----------------------------------------------------------------------------------------------------------


def lose_the_branch(folder: Path, chance: random.Random) -> None:
    (folder / ".git/refs/heads/draft").unlink()


def lose_the_annex_branch(folder: Path, chance: random.Random) -> None:
    git(folder, "update-ref", "-d", "refs/heads/git-annex")


def lose_a_tag(folder: Path, chance: random.Random) -> None:
    git(folder, "tag", "-d", VERSION)


def move_a_tag(folder: Path, chance: random.Random) -> None:
    git(folder, "tag", "-f", "-a", "-m", "moved", VERSION, "draft")


def make_a_tag_light(folder: Path, chance: random.Random) -> None:
    git(folder, "tag", "-f", VERSION, f"{VERSION}^{{commit}}")


def tag_the_same_commit_with_another_date(folder: Path, chance: random.Random) -> None:
    git(folder, "tag", "-f", "-a", "-m", "the same", VERSION, f"{VERSION}^{{commit}}")


def put_the_branch_back(folder: Path, chance: random.Random) -> None:
    git(folder, "update-ref", "refs/heads/draft", "draft~1")


def write_rubbish_into_a_ref(folder: Path, chance: random.Random) -> None:
    write(folder / ".git/refs/heads/draft", b"rubbish\n")


def let_a_ref_name_an_object_that_is_not_there(folder: Path, chance: random.Random) -> None:
    write(folder / ".git/refs/heads/draft", b"1" * 40 + b"\n")


# --- files and records ---------------------------------------------------------------------------------------------


def lead_a_link_to_another_key(folder: Path, chance: random.Random) -> None:
    links = [line.split() for line in git(folder, "ls-tree", "-r", "draft").splitlines() if line.startswith("120000")]
    one, other = chance.sample(links, 2)
    commit(folder, "draft", {one[3]: ("120000", other[2])})


def remove_a_file(folder: Path, chance: random.Random) -> None:
    paths = [line.split()[3] for line in git(folder, "ls-tree", "-r", "draft").splitlines() if line.startswith("120")]
    commit(folder, "draft", {chance.choice(paths): None})


def add_a_file(folder: Path, chance: random.Random) -> None:
    commit(folder, "draft", {"what.txt": ("100644", blob(folder, "nobody has sent this"))})


def change_a_text(folder: Path, chance: random.Random) -> None:
    commit(folder, "draft", {"README": ("100644", blob(folder, "something else"))})


def edit_a_record(folder: Path, chance: random.Random) -> None:
    records = git(folder, "cat-file", "blob", "draft:.dandi/assets.jsonl").replace('"size":', '"size":1', 1)
    commit(folder, "draft", {".dandi/assets.jsonl": ("100644", blob(folder, records + "\n"))})


def lose_a_record(folder: Path, chance: random.Random) -> None:
    lines = git(folder, "cat-file", "blob", "draft:.dandi/assets.jsonl").splitlines()
    lines.pop(chance.randrange(len(lines)))
    commit(folder, "draft", {".dandi/assets.jsonl": ("100644", blob(folder, "\n".join(lines) + "\n"))})


def lose_the_records(folder: Path, chance: random.Random) -> None:
    commit(folder, "draft", {".dandi/assets.jsonl": None})


def change_the_attributes(folder: Path, chance: random.Random) -> None:
    commit(folder, "draft", {".gitattributes": ("100644", blob(folder, "* annex.largefiles=nothing\n"))})


def give_the_dataset_another_id(folder: Path, chance: random.Random) -> None:
    config = '[datalad "dataset"]\n\tid = 00000000-0000-0000-0000-000000000000\n'
    commit(folder, "draft", {".datalad/config": ("100644", blob(folder, config))})


# --- logs of git-annex ---------------------------------------------------------------------------------------------


def edit_log(folder: Path, ending: str, chance: random.Random, edit: Callable[[str], str | None]) -> None:
    path = chance.choice(log_paths(folder, ending))
    new = edit(git(folder, "cat-file", "blob", f"git-annex:{path}"))
    commit(folder, "git-annex", {path: None if new is None else ("100644", blob(folder, new))})


def change_the_record_of_the_dandiset(folder: Path, chance: random.Random) -> None:
    text = git(folder, "cat-file", "blob", "draft:dandiset.yaml").replace("number", "another", 1)
    commit(folder, "draft", {"dandiset.yaml": ("100644", blob(folder, text + "\n"))})


def make_a_text_executable(folder: Path, chance: random.Random) -> None:
    commit(folder, "draft", {"README": ("100755", git(folder, "rev-parse", "draft:README"))})


def lose_a_location_log(folder: Path, chance: random.Random) -> None:
    edit_log(folder, ".log", chance, lambda log: None)


def lose_a_url_log(folder: Path, chance: random.Random) -> None:
    edit_log(folder, ".log.web", chance, lambda log: None)


def say_that_the_archive_does_not_have_it(folder: Path, chance: random.Random) -> None:
    edit_log(folder, ".log", chance, lambda log: log.replace("s 1 ", "s 0 ") + "\n")


def mark_the_urls_dead(folder: Path, chance: random.Random) -> None:
    edit_log(folder, ".log.web", chance, lambda log: log.replace("s 1 ", "s 0 ") + "\n")


def add_a_foreign_url(folder: Path, chance: random.Random) -> None:
    edit_log(folder, ".log.web", chance, lambda log: f"{log}\n1700000000s 1 https://evil.example.org/x\n")


def write_rubbish_into_a_log(folder: Path, chance: random.Random) -> None:
    edit_log(folder, ".log", chance, lambda log: "what is this\n")


def cut_a_log(folder: Path, chance: random.Random) -> None:
    edit_log(folder, ".log.web", chance, lambda log: log[:-9])


def lose_the_remote_of_the_api(folder: Path, chance: random.Random) -> None:
    commit(folder, "git-annex", {"remote.log": None})


# --- content -------------------------------------------------------------------------------------------------------


def flip_content(folder: Path, chance: random.Random) -> None:
    file = chance.choice(annexed(folder))
    flip(file, chance.randrange(file.stat().st_size))


def cut_content(folder: Path, chance: random.Random) -> None:
    write(chance.choice(annexed(folder)), b"")


def lose_content(folder: Path, chance: random.Random) -> None:
    file = chance.choice(annexed(folder))
    file.parent.chmod(0o755)
    file.unlink()


def swap_content(folder: Path, chance: random.Random) -> None:
    one, other = chance.sample(annexed(folder), 2)
    contents = one.read_bytes(), other.read_bytes()
    write(one, contents[1])
    write(other, contents[0])


CORRUPTIONS: dict[str, Corruption] = ZARR_CORRUPTIONS | {
    made.__name__.replace("_", " "): made
    for made in (
        flip_an_object, lose_an_object, empty_an_object, cut_an_object, swap_two_objects, flip_the_pack, cut_the_pack,
        lose_the_pack, flip_the_index_of_the_pack,
        lose_the_branch, lose_the_annex_branch, lose_a_tag, move_a_tag, make_a_tag_light,
        tag_the_same_commit_with_another_date, put_the_branch_back, write_rubbish_into_a_ref,
        let_a_ref_name_an_object_that_is_not_there,
        lead_a_link_to_another_key, remove_a_file, add_a_file, change_a_text, edit_a_record, lose_a_record,
        lose_the_records, change_the_attributes, give_the_dataset_another_id, change_the_record_of_the_dandiset,
        make_a_text_executable,
        lose_a_location_log, lose_a_url_log, say_that_the_archive_does_not_have_it, mark_the_urls_dead,
        add_a_foreign_url, write_rubbish_into_a_log, cut_a_log, lose_the_remote_of_the_api,
        flip_content, cut_content, lose_content, swap_content,
        cut_the_index_of_git, flip_the_index_of_git, leave_a_lock, leave_a_temporary_ref, let_everybody_write,
        put_an_api_key_into_the_config, put_a_signed_url_into_an_object, put_an_api_key_into_a_log,
        leave_content_where_a_repair_set_it_aside, set_the_dataset_aside,
        unregister_the_dataset, register_another_commit, change_the_modules, lose_the_modules, lose_the_superdataset,
        empty_an_object_of_the_superdataset, spoil_the_index, let_the_index_be_stale, let_the_index_forget,
        lose_what_the_dataset_remembers, spoil_what_is_known_of_the_draft,
    )
}  # fmt: skip
