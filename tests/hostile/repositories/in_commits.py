"""What may be wrong in commits: records, links, entries of trees, messages."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.hostile.repositories.catalogue import add, mutation
from tests.hostile.repositories.stage import MARKER, Record, Stage

BIDI, ESCAPE = "\u202egnp.exe", "\x1b]0;owned\x07\x1b[2J"
PATHS = {
    "up": "../../../victim/files/secret.txt", "home": "../../home/.bash_profile",
    "absolute": "/tmp/dandi-mirror-escape",
    "git": ".git/hooks/post-checkout", "own": ".dandi-mirror/index.sqlite", "settings": "dandi-mirror.toml",
    "option": "--output-dir=/tmp", "dash": "-rf", "bidi": f"sub-1/{BIDI}", "escape": f"sub-1/{ESCAPE}.nwb",
    "line": "a\nb\r.nwb", "nul": "a\0b", "empty": "", "dot": ".", "surrogate": "\ud800.nwb", "long": "d/" * 3000 + "x",
    "number": 5, "none": None, "list": ["a"], "object": {"a": 1},
}  # fmt: skip
DIGESTS = {
    "up": "../../../home/.bashrc", "absolute": "/tmp/dandi-mirror-escape", "short": "abc", "capital": "A" * 64,
    "option": "--help", "number": 7, "none": None, "list": [], "line": "a" * 63 + "\n",
}  # fmt: skip
SIZES = {"negative": -1, "huge": 1 << 70, "float": 1e308, "text": "12", "true": True, "none": None, "list": [1]}
IDS = {
    "up": "../../../home",
    "query": "x?all=1",
    "number": 3,
    "bidi": BIDI,
    "none": None,
    "slashes": "//evil.example/x",
}
TYPES = {"text": "x", "number": 3, "none": None, "list": [1], "deep": json.loads("[" * 900 + "]" * 900)}


def each_record(name: str, change: Callable[..., object]) -> None:
    """A change of some of the records."""

    def apply(stage: Stage) -> None:
        records = stage.records()
        for record in records[stage.chance.randrange(len(records)) :]:
            change(record)
        stage.write_records(records)

    add(name, apply)


def _digest(record: Record, value: Any) -> None:
    record["metadata"]["digest"] = {"dandi:sha2-256": value, "dandi:dandi-etag": value}


def _path(record: Record, value: Any) -> None:
    record["path"] = record["metadata"]["path"] = value


for _name, _value in PATHS.items():
    each_record(f"record path: {_name}", lambda record, value=_value: _path(record, value))
for _name, _value in DIGESTS.items():
    each_record(f"record digest: {_name}", lambda record, value=_value: _digest(record, value))
for _name, _value in SIZES.items():
    each_record(
        f"record size: {_name}",
        lambda record, value=_value: (record.update(size=value), record["metadata"].update(contentSize=value)),
    )
for _name, _value in IDS.items():
    each_record(f"record id: {_name}", lambda record, value=_value: record.update(asset_id=value))
for _name, _value in TYPES.items():
    each_record(f"record metadata: {_name}", lambda record, value=_value: record.update(metadata=value))
    each_record(f"record digests: {_name}", lambda record, value=_value: record["metadata"].update(digest=value))
    each_record(f"record modified: {_name}", lambda record, value=_value: record.update(modified=value, created=value))
    each_record(
        f"record subjects: {_name}", lambda record, value=_value: record["metadata"].update(wasAttributedTo=value)
    )


def _url(stage: Stage, where: str) -> None:
    urls = {
        "other port": f"{stage.world.listener.origin}/delete?all=1", "file": f"file://{stage.victim}/files/secret.txt",
        "option": "--upload-pack=touch /tmp/dandi-mirror-escape", "far": "https://evil.example/x",
        "line": "http://127.0.0.1/\r\nX: y", "number": 5,
    }  # fmt: skip
    records = stage.records()
    for record in records:
        record["metadata"]["contentUrl"] = [urls[where]]
    stage.write_records(records)


for _name in ("other port", "file", "option", "far", "line", "number"):
    add(f"record url: {_name}", lambda stage, where=_name: _url(stage, where))

LINES = {
    "not json": b"{", "not an object": b"[1]\nnull\n3\n", "deep": b"[" * 100_000, "not utf-8": b'{"path":"\xff\xfe"}\n',
    "huge number": b'{"size":' + b"9" * 10_000 + b"}\n", "nan": b'{"path":"a","size":NaN}\n', "empty": b"",
    "huge": b'{"path":"' + b"a" * (48 << 20) + b'"}\n', "twice": b'{"path":"a","path":"../b"}\n',
    "nul": b"\0" * 5000, "blank lines": b"\n" * 100_000,
}  # fmt: skip
for _name, _content in LINES.items():
    add(f"records: {_name}", lambda stage, content=_content: stage.write_records(content))


@mutation("records: twice the same path")
def _same_path(stage: Stage) -> None:
    records = stage.records()
    stage.write_records([{**record, "path": "same.nwb"} for record in records])


@mutation("records: a file below a file")
def _below(stage: Stage) -> None:
    records = stage.records()
    names = ["a", "a/b", "a/b/c", "A"]
    stage.write_records([{**record, "path": name} for record, name in zip(records, names, strict=False)])


@mutation("records: a link")
def _records_link(stage: Stage) -> None:
    stage.commit({".dandi/assets.jsonl": ("120000", b"../../../victim/files/secret.txt")})


@mutation("records: many files")
def _many(stage: Stage) -> None:
    entries = {f".dandi/assets/{number:03}.jsonl": ("100644", b"[]\n") for number in range(300)}
    stage.commit({".dandi/assets.jsonl": ("100644", None), **entries})


# --- links and other entries -----------------------------------------------------------------------------------

KEYS: dict[str, bytes] = {
    "not utf-8": b".git/annex/objects/aa/bb/K\xff/SHA256E-s5--\xff\xfe.nwb",
    "up": b".git/annex/objects/../../../../victim/files/SHA256E-s5--" + b"a" * 64,
    "dots": b".git/annex/objects/X/Y/SHA256E-s5--../../../../../victim/files/secret.txt",
    "url": b".git/annex/objects/X/Y/URL--http&c%%127.0.0.1/URL--http&c%%127.0.0.1",
    "size": b".git/annex/objects/X/Y/K/SHA256E-s" + b"9" * 40 + b"--" + b"a" * 64 + b".nwb",
    "line": b".git/annex/objects/X/Y/K/SHA256E-s5--" + b"a" * 60 + b"\nx",
    "bidi": b".git/annex/objects/X/Y/K/SHA256E-s5--" + b"a" * 64 + ".\u202ex".encode(),
    "option": b".git/annex/objects/X/Y/K/--help",
    "long": b".git/annex/objects/" + b"x/" * 1900 + b"k",
}
TARGETS: dict[str, bytes] = {
    "victim": b"../../../victim/files/sub-0_behavior.nwb", "home": b"../../../home/.bashrc", "device": b"/dev/zero",
    "itself": b"sub-0_behavior.nwb", "folder": b"../../../victim/files", "own record": b"../.git/config",
}  # fmt: skip
LINKED = "sub-0/sub-0_behavior.nwb"


def _linked(stage: Stage, content: bytes) -> None:
    stage.commit({LINKED: ("120000", content)})
    path = stage.dataset / LINKED
    stage.clear(path)
    path.parent.joinpath(path.name).symlink_to(content.decode(errors="surrogateescape"))


for _name, _content in KEYS.items():
    add(f"key: {_name}", lambda stage, content=_content: _linked(stage, b"../" + content))
for _name, _content in TARGETS.items():
    add(f"link: {_name}", lambda stage, content=_content: _linked(stage, content))

NAMES = {
    "option": "--help", "dash": "-", "exec": "--upload-pack=x", "bidi": f"sub-1/{BIDI}", "escape": f"sub-1/{ESCAPE}",
    "not utf-8": "sub-1/\udcff\udcfe.nwb", "line": "a\nb", "quote": '"; rm -rf ~; "', "glob": "*[", "colon": ":(top)x",
}  # fmt: skip


def _named(stage: Stage, name: str) -> None:
    stage.commit({name: ("100644", MARKER[:6].encode())})
    path = stage.dataset / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"hostile\n")
    stage.names.append(name)


for _name, _text in NAMES.items():
    add(f"name: {_name}", lambda stage, text=_text: _named(stage, text))


@mutation("entry: a folder is a link")
def _folder_is_link(stage: Stage) -> None:
    stage.commit({"sub-1": ("120000", b"../../victim/files")})
    stage.link(stage.dataset / "sub-1", "../../victim/files" if stage.top == stage.dataset else "../../../victim/files")


@mutation("entry: .dandi is a link")
def _dandi_is_link(stage: Stage) -> None:
    stage.commit({".dandi/assets.jsonl": ("100644", None), ".dandi": ("120000", b"../../victim/files")})
    stage.link(stage.dataset / ".dandi", stage.victim / "files")


@mutation("entry: a submodule")
def _submodule(stage: Stage) -> None:
    modules = f'[submodule "x"]\n\tpath = x\n\turl = {stage.world.listener.origin}/x\n\tupdate = !{stage.tool}\n'
    stage.commit({".gitmodules": ("100644", modules.encode()), "x": ("160000", "a" * 40)})
    stage.put(stage.dataset / ".gitmodules", modules.encode())


@mutation("entry: huge")
def _huge(stage: Stage) -> None:
    stage.commit({"participants.tsv": ("100644", b"a\tb\n" * (8 << 20))})


@mutation("entry: .gitattributes")
def _attributes(stage: Stage) -> None:
    text = b"* filter=evil diff=evil merge=evil annex.largefiles=nothing annex.numcopies=0\n"
    stage.commit({".gitattributes": ("100644", text), "sub-9/.gitattributes": ("100644", text)})
    stage.put(stage.dataset / ".gitattributes", text)


@mutation("entry: .datalad/config")
def _datalad(stage: Stage) -> None:
    text = f'[datalad "clone"]\n\tpostclone = {stage.tool}\n[datalad "locations"]\n\tcache = {stage.victim}/empty\n'
    text += f'[remote "x"]\n\turl = {stage.world.listener.origin}\n[dataset]\n\tid = ../../x\n'
    stage.commit({".datalad/config": ("100644", text.encode())})
    stage.put(stage.dataset / ".datalad" / "config", text.encode())


# --- the Dandiset's record, messages ---------------------------------------------------------------------------

YAML = {
    "bidi": f'name: "{BIDI}"\ncitation: "{BIDI}"\n'.encode(), "escape": b'name: "\\e]0;owned\\a"\ncitation: "\\e[2J"\n',
    "bomb": b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
        b"%c: &%c [%s]\n" % (n + 1, n + 1, b",".join([b"*%c" % n] * 9)) for n in range(97, 107)),
    "python": b"!!python/object/apply:os.system ['touch /tmp/dandi-mirror-escape']\n", "list": b"- 1\n",
    "not utf-8": b"name: \xff\n", "deep": b"[" * 50_000, "number": b"3\n", "empty": b"", "types":
    b"name: [1]\ncitation: {a: 1}\ndoi: 5\ncontributor: x\nidentifier: [x]\nversion: 7\nkeywords: 3\nlicense: {}\n",
}  # fmt: skip


def _yaml(stage: Stage, content: bytes) -> None:
    stage.commit({"dandiset.yaml": ("100644", content)})
    stage.put(stage.dataset / "dandiset.yaml", content)


for _name, _content in YAML.items():
    add(f"dandiset.yaml: {_name}", lambda stage, content=_content: _yaml(stage, content))


def _message(stage: Stage, change: Callable[[str], str]) -> None:
    stage.replace_commit("refs/heads/draft", change=change)
    stage.replace_commit(f"refs/tags/{stage.world.version}", change=change)


MESSAGES: dict[str, Callable[[str], str]] = {
    "bidi": lambda text: text.replace("Dandiset 000123", BIDI), "empty": lambda _: "x",
    "escape": lambda text: text.replace("Dandiset 000123", ESCAPE),
    "dandiset": lambda text: text.replace("DANDI:000123", "DANDI:../../victim"),
    "version": lambda text: text.replace("Dandi-Version: ", "Dandi-Version: --help "),
    "modified": lambda text: text.replace("Dandi-Modified: 2", "Dandi-Modified: \u0663"),
    "format": lambda text: text.replace("Mirror-Format: 1", "Mirror-Format: 99999999999999999999"),
    "long": lambda text: text + "x" * 3_000_000,
}  # fmt: skip
for _name, _function in MESSAGES.items():
    add(f"message: {_name}", lambda stage, function=_function: _message(stage, function))
