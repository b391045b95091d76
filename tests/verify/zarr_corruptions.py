"""What can go wrong with the Zarrs of a mirror on disk: each function damages one thing, at random."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from dandi_mirror.archive.zarr_entry import ZarrEntry
from dandi_mirror.mirror.zarr.manifest_format import Header, header_bytes, read_header
from dandi_mirror.mirror.zarr.manifests import Manifests
from tests.support.damaging import Corruption, blob, commit, flip, git, log_paths, write
from tests.verify.zarr_record_corruptions import (
    change_the_gitlink_of_a_zarr,
    cut_a_chunk,
    flip_a_chunk,
    give_a_zarr_another_dataset_id,
    let_the_modules_lead_elsewhere,
    lose_a_chunk,
    lose_the_gitlink_of_a_zarr,
    lose_the_modules_of_the_dataset,
    lose_the_record_of_a_zarr,
    name_another_state_in_the_modules,
    put_a_file_in_place_of_a_zarr,
    swap_the_gitlinks_of_two_zarrs,
)


def manifests(folder: Path) -> list[Path]:
    """The manifests of the mirror that has a dataset."""
    return sorted(file for file in (folder.parent / "zarr").glob("*/*/*/*") if ".git" not in file.parent.name)


def repositories(folder: Path) -> list[Path]:
    """The repositories of Zarrs of the mirror that has a dataset."""
    return sorted((folder.parent / "zarr").glob("*/*/*.git"))


# --- manifests -----------------------------------------------------------------------------------------------------


def lose_a_manifest(folder: Path, chance: random.Random) -> None:
    chance.choice(manifests(folder)).unlink()


def lose_all_manifests_of_a_zarr(folder: Path, chance: random.Random) -> None:
    shutil.rmtree(chance.choice(manifests(folder)).parent)


def empty_a_manifest(folder: Path, chance: random.Random) -> None:
    write(chance.choice(manifests(folder)), b"")


def cut_a_manifest(folder: Path, chance: random.Random) -> None:
    file = chance.choice(manifests(folder))
    write(file, file.read_bytes()[: -chance.randrange(1, 100)])


def flip_a_manifest(folder: Path, chance: random.Random) -> None:
    file = chance.choice(manifests(folder))
    flip(file, chance.randrange(file.stat().st_size))


def swap_two_manifests(folder: Path, chance: random.Random) -> None:
    one, other = chance.sample(manifests(folder), 2)
    contents = one.read_bytes(), other.read_bytes()
    write(one, contents[1])
    write(other, contents[0])


def write_other_entries_into_a_manifest(folder: Path, chance: random.Random) -> None:
    """A manifest that is whole, and whose entries do not give the checksum in its name."""
    file = chance.choice(manifests(folder))
    with file.open("rb") as opened:
        state = read_header(opened).state
    elsewhere = Manifests(folder.parent / "elsewhere")
    count, size = state.entries, state.size
    entries = [ZarrEntry(f"a{number}", size if number == 0 else 0, f"{number:032x}") for number in range(count)]
    other = elsewhere.add(state.zarr_id, _checksum(state.zarr_id, entries), entries, "api")
    made = elsewhere.path(state.zarr_id, other.checksum).path
    with made.open("rb") as opened:
        header = read_header(opened)
        body = opened.read()
    write(file, header_bytes(Header(state, "api", header.body)) + body)
    shutil.rmtree(folder.parent / "elsewhere")


def _checksum(zarr_id: str, entries: list[ZarrEntry]) -> str:
    from dandi_mirror.mirror.zarr.state import zarr_state_of

    return zarr_state_of(zarr_id, entries).checksum


def swap_two_entries_of_a_manifest(folder: Path, chance: random.Random) -> None:
    """A manifest whose body has its digest, and in which two entries have each other's ETag."""
    file = chance.choice(manifests(folder))
    with file.open("rb") as opened:
        header = read_header(opened)
    entries = list(Manifests(folder.parent).entries(file.parent.name, file.name))
    one, other = next((a, b) for a in entries for b in entries if a.etag != b.etag)
    swapped = {one.path: other.etag, other.path: one.etag}
    entries = [entry._replace(etag=swapped.get(entry.path, entry.etag)) for entry in entries]
    elsewhere = Manifests(folder.parent / "elsewhere")
    made = elsewhere.add(file.parent.name, _checksum(file.parent.name, entries), entries, "api")
    with elsewhere.path(file.parent.name, made.checksum).path.open("rb") as opened:
        new = read_header(opened)
        body = opened.read()
    write(file, header_bytes(Header(header.state, header.listed, new.body)) + body)
    shutil.rmtree(folder.parent / "elsewhere")


def put_a_manifest_into_the_folder_of_another_zarr(folder: Path, chance: random.Random) -> None:
    one = chance.choice(manifests(folder))
    other = chance.choice([file for file in manifests(folder) if file.parent != one.parent])
    shutil.copy(one, other)


def leave_a_manifest_that_nobody_names(folder: Path, chance: random.Random) -> None:
    file = chance.choice(manifests(folder))
    other = Path(str(file).replace(file.parent.name, "0" * 8 + file.parent.name[8:]))
    other.parent.mkdir(parents=True)
    shutil.copy(file, other)
    os.utime(other, (0, 0))


def put_a_folder_in_place_of_a_manifest(folder: Path, chance: random.Random) -> None:
    file = chance.choice(manifests(folder))
    file.unlink()
    file.mkdir()


# --- repositories --------------------------------------------------------------------------------------------------


def lose_a_repository(folder: Path, chance: random.Random) -> None:
    shutil.rmtree(chance.choice(repositories(folder)))


def lose_the_config_of_a_repository(folder: Path, chance: random.Random) -> None:
    (chance.choice(repositories(folder)) / "config").unlink()


def write_rubbish_into_the_refs_of_a_repository(folder: Path, chance: random.Random) -> None:
    write(chance.choice(repositories(folder)) / "packed-refs", b"rubbish\n")


def lose_the_head_of_a_repository(folder: Path, chance: random.Random) -> None:
    (chance.choice(repositories(folder)) / "HEAD").unlink()


def write_rubbish_into_the_head_of_a_repository(folder: Path, chance: random.Random) -> None:
    write(chance.choice(repositories(folder)) / "HEAD", b"what\n")


def _a_pack(folder: Path, chance: random.Random) -> Path:
    return chance.choice([pack for where in repositories(folder) for pack in sorted(where.glob("objects/pack/*.pack"))])


def flip_the_pack_of_a_zarr(folder: Path, chance: random.Random) -> None:
    file = _a_pack(folder, chance)
    flip(file, chance.randrange(file.stat().st_size))


def cut_the_pack_of_a_zarr(folder: Path, chance: random.Random) -> None:
    file = _a_pack(folder, chance)
    write(file, file.read_bytes()[: -chance.randrange(1, 100)])


def lose_the_pack_of_a_zarr(folder: Path, chance: random.Random) -> None:
    _a_pack(folder, chance).unlink()


def lose_the_index_of_the_pack_of_a_zarr(folder: Path, chance: random.Random) -> None:
    _a_pack(folder, chance).with_suffix(".idx").unlink()


def lose_the_refs_of_a_zarr(folder: Path, chance: random.Random) -> None:
    where = chance.choice(repositories(folder))
    (where / "packed-refs").unlink()
    shutil.rmtree(where / "refs")
    (where / "refs/heads").mkdir(parents=True)


def _tags(where: Path) -> list[str]:
    return git(where, "tag").splitlines()


def move_the_tag_of_a_state(folder: Path, chance: random.Random) -> None:
    where = chance.choice(repositories(folder))
    git(where, "tag", "-f", chance.choice(_tags(where)), "git-annex")


def lose_the_tag_of_a_state(folder: Path, chance: random.Random) -> None:
    where = chance.choice(repositories(folder))
    git(where, "tag", "-d", chance.choice(_tags(where)))


def move_the_branch_of_a_zarr(folder: Path, chance: random.Random) -> None:
    git(chance.choice(repositories(folder)), "update-ref", "refs/heads/draft", "git-annex")


def lose_the_branch_of_a_zarr(folder: Path, chance: random.Random) -> None:
    git(chance.choice(repositories(folder)), "update-ref", "-d", "refs/heads/draft")


def lose_the_annex_branch_of_a_zarr(folder: Path, chance: random.Random) -> None:
    git(chance.choice(repositories(folder)), "update-ref", "-d", "refs/heads/git-annex")


def _edit_log(folder: Path, ending: str, chance: random.Random, edit: Callable[[str], str | None]) -> None:
    where = chance.choice(repositories(folder))
    path = chance.choice(log_paths(where, ending))
    new = edit(git(where, "cat-file", "blob", f"git-annex:{path}"))
    commit(where, "git-annex", {path: None if new is None else ("100644", blob(where, new))})


def lose_the_location_log_of_a_chunk(folder: Path, chance: random.Random) -> None:
    _edit_log(folder, ".log", chance, lambda log: None)


def lose_the_url_log_of_a_chunk(folder: Path, chance: random.Random) -> None:
    _edit_log(folder, ".log.web", chance, lambda log: None)


def lose_a_url_of_a_chunk(folder: Path, chance: random.Random) -> None:
    _edit_log(folder, ".log.web", chance, lambda log: "\n".join(log.splitlines()[:-1]) + "\n")


def mark_the_urls_of_a_chunk_dead(folder: Path, chance: random.Random) -> None:
    _edit_log(folder, ".log.web", chance, lambda log: log.replace("s 1 ", "s 0 ") + "\n")


def say_that_the_archive_does_not_have_a_chunk(folder: Path, chance: random.Random) -> None:
    _edit_log(folder, ".log", chance, lambda log: log.replace("s 1 ", "s 0 ") + "\n")


def add_a_foreign_url_to_a_chunk(folder: Path, chance: random.Random) -> None:
    _edit_log(folder, ".log.web", chance, lambda log: f"{log}\n1700000000s 1 https://evil.example.org/x\n")


def write_rubbish_into_the_log_of_a_chunk(folder: Path, chance: random.Random) -> None:
    _edit_log(folder, ".log", chance, lambda log: "what is this\n")


def lose_the_remote_of_a_zarr(folder: Path, chance: random.Random) -> None:
    commit(chance.choice(repositories(folder)), "git-annex", {"remote.log": None})


def leave_a_repository_that_nobody_names(folder: Path, chance: random.Random) -> None:
    where = chance.choice(repositories(folder))
    other = where.with_name("0" * 8 + where.name[8:])
    shutil.copytree(where, other)
    os.utime(other, (0, 0))


def swap_the_repositories_of_two_zarrs(folder: Path, chance: random.Random) -> None:
    one, other = chance.sample(repositories(folder), 2)
    beside = one.with_name("beside")
    one.rename(beside)
    other.rename(one)
    beside.rename(other)


def put_the_repository_of_another_zarr_in_its_place(folder: Path, chance: random.Random) -> None:
    one, other = chance.sample(repositories(folder), 2)
    shutil.rmtree(one)
    shutil.copytree(other, one, symlinks=True)


def mix_the_repositories_of_two_zarrs(folder: Path, chance: random.Random) -> None:
    one, other = chance.sample(repositories(folder), 2)
    git(one, "fetch", "--quiet", str(other), "refs/tags/*:refs/tags/*", "git-annex:git-annex", "--force")


ZARR_CORRUPTIONS: dict[str, Corruption] = {
    made.__name__.replace("_", " "): made
    for made in (
        lose_a_manifest, lose_all_manifests_of_a_zarr, empty_a_manifest, cut_a_manifest, flip_a_manifest,
        swap_two_manifests, write_other_entries_into_a_manifest, leave_a_manifest_that_nobody_names,
        put_a_folder_in_place_of_a_manifest, swap_two_entries_of_a_manifest,
        put_a_manifest_into_the_folder_of_another_zarr, lose_the_config_of_a_repository,
        write_rubbish_into_the_refs_of_a_repository, give_a_zarr_another_dataset_id,
        lose_a_repository, lose_the_head_of_a_repository, write_rubbish_into_the_head_of_a_repository,
        flip_the_pack_of_a_zarr, cut_the_pack_of_a_zarr, lose_the_pack_of_a_zarr, lose_the_index_of_the_pack_of_a_zarr,
        lose_the_refs_of_a_zarr, move_the_tag_of_a_state, lose_the_tag_of_a_state, move_the_branch_of_a_zarr,
        lose_the_branch_of_a_zarr, lose_the_annex_branch_of_a_zarr, lose_the_location_log_of_a_chunk,
        lose_the_url_log_of_a_chunk, lose_a_url_of_a_chunk, mark_the_urls_of_a_chunk_dead,
        say_that_the_archive_does_not_have_a_chunk, add_a_foreign_url_to_a_chunk,
        write_rubbish_into_the_log_of_a_chunk, lose_the_remote_of_a_zarr, leave_a_repository_that_nobody_names,
        swap_the_repositories_of_two_zarrs, put_the_repository_of_another_zarr_in_its_place,
        mix_the_repositories_of_two_zarrs,
        change_the_gitlink_of_a_zarr, swap_the_gitlinks_of_two_zarrs, lose_the_gitlink_of_a_zarr,
        lose_the_modules_of_the_dataset, name_another_state_in_the_modules, let_the_modules_lead_elsewhere,
        put_a_file_in_place_of_a_zarr, lose_the_record_of_a_zarr,
        flip_a_chunk, cut_a_chunk, lose_a_chunk,
    )
}  # fmt: skip
