"""What may be wrong in folders: settings, ``.dandi-mirror``, members of a superdataset, devices."""

from __future__ import annotations

import os
import shutil
import sqlite3

from tests.hostile.repositories.catalogue import add, mutation
from tests.hostile.repositories.in_commits import BIDI, ESCAPE
from tests.hostile.repositories.stage import CLONE, DANDISET, MIRROR, OTHER, Stage

MIRRORS, CLONES = (MIRROR,), (CLONE,)
OWN_FILES = (
    "search.sqlite", "index.sqlite", "known/000123.sqlite", "verified.sqlite", "locks/000123.lock",
    "locks/superdataset.lock", "log/seen.json",
)  # fmt: skip
OWN_FOLDERS = ("", "locks", "known", "log", "tmp")

# --- what we keep there ourselves ------------------------------------------------------------------------------

for _file in OWN_FILES:
    add(
        f".dandi-mirror: {_file} is a link to a file",
        lambda stage, file=_file: stage.link(stage.top / ".dandi-mirror" / file, stage.victim / "files" / "secret.txt"),
        MIRRORS,
    )
    add(
        f".dandi-mirror: {_file} is a link to nothing",
        lambda stage, file=_file: stage.link(stage.top / ".dandi-mirror" / file, stage.victim / "files" / "new"),
        MIRRORS,
    )
    add(
        f".dandi-mirror: {_file} is a FIFO",
        lambda stage, file=_file: os.mkfifo(stage.clear(stage.top / ".dandi-mirror" / file)),
        MIRRORS,
    )
    add(
        f".dandi-mirror: {_file} is garbage",
        lambda stage, file=_file: stage.put(stage.top / ".dandi-mirror" / file, b"\xff\0{[" * 3000),
        MIRRORS,
    )
for _file in OWN_FILES[:4]:
    add(
        f".dandi-mirror: {_file} is a link to another database",
        lambda stage, file=_file: stage.link(
            stage.top / ".dandi-mirror" / file, stage.victim / "files" / "zotero.sqlite"
        ),
        MIRRORS,
    )
    add(
        f".dandi-mirror: {_file} is a link to a device",
        lambda stage, file=_file: stage.link(stage.top / ".dandi-mirror" / file, "/dev/zero"),
        MIRRORS,
    )
    add(
        f".dandi-mirror: {_file} has triggers and views",
        lambda stage, file=_file: _database(stage, file),
        MIRRORS,
    )
for _folder in OWN_FOLDERS:
    add(
        f".dandi-mirror: {_folder or 'all of it'} is a link",
        lambda stage, folder=_folder: stage.link(stage.top / ".dandi-mirror" / folder, stage.victim / "files"),
        MIRRORS,
    )


def _database(stage: Stage, file: str) -> None:
    path = stage.top / ".dandi-mirror" / file
    path.parent.mkdir(exist_ok=True)
    database = sqlite3.connect(path)
    tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    for number, table in enumerate(name for name in tables if not name.startswith("sqlite_")):
        try:
            database.execute(f'CREATE TRIGGER t{number} AFTER INSERT ON "{table}" BEGIN DELETE FROM "{table}"; END')
            database.execute(f'ALTER TABLE "{table}" RENAME TO "x{number}"')
            database.execute(f"CREATE VIEW \"{table}\" AS SELECT load_extension('{stage.tool}') AS a")
        except sqlite3.Error:
            continue
    database.commit()
    database.close()


@mutation(".dandi-mirror: a run's log is hostile", MIRRORS)
def _log(stage: Stage) -> None:
    for path in (stage.top / ".dandi-mirror" / "log").glob("*.jsonl"):
        path.write_text(path.read_text().replace('"000123"', f'"{BIDI}"') + f'{{"action":"{BIDI}"}}\n[]\n3\n\x1b[2J\n')


@mutation(".dandi-mirror: a run's log is a link", MIRRORS)
def _log_link(stage: Stage) -> None:
    stage.link(
        stage.top / ".dandi-mirror" / "log" / "20990101T000000.000000Z-1.jsonl", stage.victim / "files" / "secret.txt"
    )


@mutation(".dandi-mirror: a run's log is a FIFO", MIRRORS)
def _log_fifo(stage: Stage) -> None:
    os.mkfifo(stage.top / ".dandi-mirror" / "log" / "20990101T000000.000000Z-1.jsonl")


@mutation(".dandi-mirror: the lock names a holder", MIRRORS)
def _holder(stage: Stage) -> None:
    stage.put(stage.top / ".dandi-mirror" / "locks" / f"{DANDISET}.lock", f'{{"pid":"{ESCAPE}","host":3}}'.encode())


# --- the superdataset ------------------------------------------------------------------------------------------

MEMBERS = {
    "a link to another repository": lambda stage: stage.link(stage.top / OTHER, stage.victim / "repository"),
    "a link to files": lambda stage: stage.link(stage.top / OTHER, stage.victim / "files"),
    "a link to the other": lambda stage: stage.link(stage.top / OTHER, stage.top / DANDISET),
    "a link to the root": lambda stage: stage.link(stage.top / OTHER, "/"),
    "another repository": lambda stage: _move_in(stage),
    "a FIFO": lambda stage: os.mkfifo(stage.clear(stage.top / OTHER)),
    "a file": lambda stage: stage.put(stage.top / OTHER, b"x"),
    "one whose .git points elsewhere": lambda stage: stage.put(
        stage.clear(stage.top / OTHER) / ".git" if stage.clear(stage.top / OTHER).mkdir() is None else stage.top,
        f"gitdir: {stage.victim}/repository/.git\n".encode(),
    ),
    "one whose .git is a link": lambda stage: stage.link(
        stage.top / OTHER / ".git", stage.victim / "repository" / ".git"
    ),
    "one below a name that looks like one": lambda stage: (stage.top / "000999").symlink_to(
        stage.victim / "repository"
    ),
}
for _name, _change in MEMBERS.items():
    add(f"member: {_name}", _change, MIRRORS)


def _move_in(stage: Stage) -> None:
    shutil.copytree(stage.victim / "repository", stage.clear(stage.top / OTHER))
    (stage.top / OTHER / "mine.txt").write_text("put here by the attacker, not copied by a command\n")


MODULES = {
    "up": '[submodule "x"]\n\tpath = ../../victim/repository\n\turl = ./x\n',
    "a program": '[submodule "000123"]\n\tpath = 000123\n\turl = ext::{tool}\n\tupdate = !{tool}\n',
    "option": '[submodule "000123"]\n\tpath = 000123\n\turl = --upload-pack={tool}\n',
    "id": '[submodule "000123"]\n\tpath = 000123\n\turl = ./000123\n\tdatalad-id = \x1b[2J\n',
    "garbage": "\0[[[\n",
}
for _name, _module in MODULES.items():
    add(
        f".gitmodules: {_name}",
        lambda stage, text=_module: stage.put(stage.top / ".gitmodules", text.replace("{tool}", stage.tool).encode()),
        MIRRORS,
    )
add(
    ".gitmodules: a link",
    lambda stage: stage.link(stage.top / ".gitmodules", stage.victim / "files" / "secret.txt"),
    MIRRORS,
)
add(".gitmodules: a device", lambda stage: stage.link(stage.top / ".gitmodules", "/dev/zero"), MIRRORS)
add(".gitmodules: a FIFO", lambda stage: os.mkfifo(stage.clear(stage.top / ".gitmodules")), MIRRORS)

# --- settings --------------------------------------------------------------------------------------------------

TEXTS = {
    "instance": 'instance = "{listener}/api"\n', "a host called dandi": 'instance = "https://dandi/api"\n',
    "content hosts": 'content-hosts = ["127.0.0.1:{port}", "evil.example"]\n',
    "get": 'get = ["*"]\nget-budget = "1 TB"\n',
    "metrics": 'metrics = "{victim}/files/secret.txt"\n', "sibling": '[sibling.x]\nurl = "{victim}/empty"\n',
    "ssh sibling": '[sibling.x]\nurl = "ssh://-oProxyCommand=x/y"\n[sibling.y]\nurl = "evil.example:x"\n',
    "garbage": "\udcff = [[[", "regular expression": 'include = ["(a+)+$"]\n', "deep": "a = " + "[" * 5000,
}  # fmt: skip


def _text(stage: Stage, text: str) -> bytes:
    listener = stage.world.listener
    text = text.replace("{listener}", listener.origin).replace("{port}", str(listener.port))
    return text.replace("{victim}", str(stage.victim)).encode(errors="surrogateescape")


def _tracked(stage: Stage, text: str) -> None:
    stage.put(stage.top / "dandi-mirror.toml", _text(stage, text))
    stage.git("add", "-f", "dandi-mirror.toml", folder=stage.top)
    stage.git("commit", "-q", "--no-verify", "-m", "settings", folder=stage.top)
    stage.settings = True


for _name, _content in TEXTS.items():
    add(f"settings that git tracks: {_name}", lambda stage, text=_content: _tracked(stage, text))


def _of_another(stage: Stage, text: str) -> None:
    path = stage.top / "dandi-mirror.toml"
    stage.put(path, _text(stage, text))
    if os.getuid() == 0:
        os.chown(path, 65534, 65534)
    else:
        path.unlink()
    stage.settings = True


def _of_the_parent(stage: Stage, text: str) -> None:
    stage.put(stage.top.parent / "dandi-mirror.toml", _text(stage, text))
    stage.settings = True


for _name in ("instance", "metrics", "content hosts", "get"):
    add(f"settings of another user: {_name}", lambda stage, text=TEXTS[_name]: _of_another(stage, text))
    add(f"settings of the folder above: {_name}", lambda stage, text=TEXTS[_name]: _of_the_parent(stage, text), CLONES)


@mutation("settings: a link")
def _settings_link(stage: Stage) -> None:
    stage.link(stage.top / "dandi-mirror.toml", stage.victim / "files" / "settings.toml")
    stage.settings = True


@mutation("settings: a device")
def _settings_device(stage: Stage) -> None:
    stage.link(stage.top / "dandi-mirror.toml", "/dev/zero")


@mutation("settings: a FIFO")
def _settings_fifo(stage: Stage) -> None:
    os.mkfifo(stage.clear(stage.top / "dandi-mirror.toml"))


# --- files of the work tree ------------------------------------------------------------------------------------

for _path in ("dandiset.yaml", "participants.tsv", ".dandi/assets.jsonl", "sub-0/sub-0_behavior.nwb", ".gitattributes",
              "dataset_description.json"):  # fmt: skip
    add(
        f"file: {_path} is a link to a device",
        lambda stage, path=_path: stage.link(stage.dataset / path, "/dev/zero"),
        late=True,
    )
    add(
        f"file: {_path} is a FIFO",
        lambda stage, path=_path: os.mkfifo(stage.clear(stage.dataset / path)),
        late=True,
    )
    add(
        f"file: {_path} is a link to a secret",
        lambda stage, path=_path: stage.link(stage.dataset / path, stage.victim / "files" / "secret.txt"),
        late=True,
    )
    add(
        f"file: {_path} is a folder",
        lambda stage, path=_path: stage.clear(stage.dataset / path).mkdir(),
        late=True,
    )


@mutation("file: a huge one with holes", late=True)
def _holes(stage: Stage) -> None:
    for name in ("dandiset.yaml", "dataset_description.json"):
        with stage.clear(stage.dataset / name).open("wb") as file:
            file.truncate(2 << 30)


@mutation("file: links that go in circles", late=True)
def _loop(stage: Stage) -> None:
    stage.link(stage.dataset / "sub-7", ".")
    stage.link(stage.dataset / "loop", "loop")
