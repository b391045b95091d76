"""What may be wrong in a git folder: refs, the git-annex branch, settings, hooks."""

from __future__ import annotations

import os

from tests.hostile.repositories.catalogue import add, mutation
from tests.hostile.repositories.in_commits import BIDI, ESCAPE
from tests.hostile.repositories.stage import CLONE, Stage

WEB = "00000000-0000-0000-0000-000000000001"
EVIL = "11111111-2222-4333-8444-555555555555"

# --- the git-annex branch --------------------------------------------------------------------------------------


def _remote(stage: Stage, line: str) -> None:
    line = line.format(listener=stage.world.listener.origin, victim=stage.victim, tool=stage.tool)
    stage.annex({"remote.log": f"{stage.annex_text('remote.log')}\n{EVIL} {line} timestamp=1999999999s\n".encode()})


REMOTES = {
    "api at another port": "autoenable=true encryption=none externaltype=dandi api={listener}/api name=dandi-embargoed "
    "type=external",
    "api of a host that is called dandi": "autoenable=true encryption=none externaltype=dandi api=https://dandi/api "
    "name=dandi-embargoed type=external",
    "api by a name": "autoenable=true encryption=none externaltype=dandi api=dandi name=dandi-embargoed type=external",
    "a folder": "autoenable=true encryption=none directory={victim}/files name=dir type=directory",
    "ssh": "autoenable=true encryption=none rsyncurl=evil.example:x name=rs type=rsync",
    "a program": "autoenable=true encryption=none externaltype=evil name=ex type=external",
    "a git remote": "autoenable=true location={listener}/x.git name=origin2 type=git",
    "a web for every URL": "autoenable=true cost=1 sameas-name=all sameas-uuid=" + WEB + " type=web urlinclude=*",
    "no key and value": "x==== = =",
    "bidi": f"autoenable=true name={BIDI} type=web",
    "not utf-8": "autoenable=true name=\udcff type=web",
}
for _name, _line in REMOTES.items():
    add(f"remote.log: {_name}", lambda stage, line=_line: _remote(stage, line.replace("\udcff", "\xff")))


def _urls(stage: Stage, url: str) -> None:
    url = url.format(listener=stage.world.listener.origin, victim=stage.victim)
    text = f"1999999999s 1 {url}\n".encode(errors="surrogateescape")
    stage.annex(dict.fromkeys(stage.web_logs(), text))


URLS = {
    "another port": "{listener}/delete?all=1", "file": "file://{victim}/files/secret.txt", "far": "https://evil.example/x",
    "ssh": "ssh://evil.example/x", "torrent": "http://evil.example/x.torrent", "option": "--help",
    "not utf-8": "http://127.0.0.1/\udcff", "metadata service": "http://169.254.169.254/latest/",
    "user": "http://me:secret@127.0.0.1:{listener}/", "local name": "http://localhost.localdomain/x",
    "long": "http://127.0.0.1/" + "x" * 300_000, "escape": f"http://127.0.0.1/{ESCAPE}",
}  # fmt: skip
for _name, _url in URLS.items():
    add(f"URL log: {_name}", lambda stage, url=_url: _urls(stage, url))


@mutation("URL log: not one")
def _no_url_log(stage: Stage) -> None:
    stage.annex(dict.fromkeys(stage.web_logs(), b"\xff\xfe\x00\n\n1s 1\n 1 1 1\nxs y z\n"))


@mutation("URL log: huge")
def _huge_url_log(stage: Stage) -> None:
    stage.annex(dict.fromkeys(stage.web_logs()[:1], b"1s 1 http://127.0.0.1/x\n" * (1 << 20)))


for _log, _text in {
    "uuid.log": f"{EVIL} {BIDI}{ESCAPE} timestamp=1s\n{WEB} evil timestamp=1999999999s\n",
    "trust.log": f"{WEB} X timestamp=1999999999s\n{EVIL} 1 timestamp=1999999999s\n",
    "preferred-content.log": f"{WEB} include=* timestamp=1999999999s\n",
    "config.log": "1999999999s annex.securehashesonly false\n1999999999s annex.numcopies 0\n",
    "difference.log": f"{EVIL} fromList [ObjectHashLower,OneLevelObjectHash] timestamp=1s\n",
    "export.log": f"1999999999s {EVIL}:{EVIL} {'a' * 40}\n",
    "numcopies.log": "1999999999s -5\n",
    "transitions.log": "ForgetGitHistory 1999999999s\nForgetDeadRemotes 1999999999s\n",
    "multicast.log": "x" * 100_000,
}.items():
    add(f"annex branch: {_log}", lambda stage, log=_log, text=_text: stage.annex({log: text.encode()}))


@mutation("annex branch: metadata")
def _annex_metadata(stage: Stage) -> None:
    text = f"1999999999s {ESCAPE.replace(' ', '')} +{BIDI} subject +../../../x tag +!\xff\n".encode()
    stage.annex({path.removesuffix(".web") + ".met": text for path in stage.web_logs()})


@mutation("annex branch: here is everything")
def _everything_here(stage: Stage) -> None:
    stage.annex({path.removesuffix(".web"): f"1999999999s 1 {EVIL}\n".encode() for path in stage.web_logs()})


# --- refs ------------------------------------------------------------------------------------------------------


@mutation("ref: HEAD elsewhere", late=True)
def _head(stage: Stage) -> None:
    stage.put(stage.git_dir / "HEAD", b"ref: refs/heads/../../../../victim/repository/.git/HEAD\n")


@mutation("ref: HEAD is a link", late=True)
def _head_link(stage: Stage) -> None:
    stage.link(stage.git_dir / "HEAD", stage.victim / "files" / "secret.txt")


@mutation("ref: HEAD is a FIFO", late=True)
def _head_fifo(stage: Stage) -> None:
    os.mkfifo(stage.clear(stage.git_dir / "HEAD"))


@mutation("ref: the branch is a link", late=True)
def _branch_link(stage: Stage) -> None:
    stage.link(stage.git_dir / "refs" / "heads" / "draft", stage.victim / "files" / "secret.txt")


@mutation("ref: no commit", late=True)
def _no_commit(stage: Stage) -> None:
    stage.put(stage.git_dir / "refs" / "heads" / "draft", b"f" * 40 + b"\n")


@mutation("ref: a blob", late=True)
def _blob(stage: Stage) -> None:
    oid = stage.git("hash-object", "-w", "--stdin", stdin=b"x")
    stage.put(stage.git_dir / "refs" / "heads" / "draft", oid.encode() + b"\n")
    stage.put(stage.git_dir / "refs" / "tags" / "0.990101.0101", oid.encode() + b"\n")


@mutation("ref: names as options", late=True)
def _option_refs(stage: Stage) -> None:
    head = stage.git("rev-parse", "draft")
    for name in ("-n", "--help", "--upload-pack=x", BIDI, "0.990101.0101\u200b"):
        stage.put(stage.git_dir / "refs" / "tags" / name, head.encode() + b"\n")


@mutation("ref: many tags", late=True)
def _many_tags(stage: Stage) -> None:
    head = stage.git("rev-parse", "draft")
    lines = [f"{head} refs/tags/0.{number:06}.{number % 2400:04}" for number in range(3000)]
    with (stage.git_dir / "packed-refs").open("a") as file:
        file.write("\n".join(lines) + "\n")


@mutation("ref: packed-refs is none", late=True)
def _packed(stage: Stage) -> None:
    stage.put(stage.git_dir / "packed-refs", b"\xff\xfe\0" * 2000)


@mutation("ref: a tag of a tag of a tag", late=True)
def _tags(stage: Stage) -> None:
    for number in range(30):
        stage.git("tag", "-f", "-a", "-m", "x", stage.world.version, stage.world.version if number else "draft")


@mutation("object: broken", late=True)
def _broken(stage: Stage) -> None:
    for pack in (stage.git_dir / "objects" / "pack").glob("*.pack"):
        pack.chmod(0o644)
        pack.write_bytes(pack.read_bytes()[:-200] + b"\0" * 200)


@mutation("object: alternates", late=True)
def _alternates(stage: Stage) -> None:
    stage.put(stage.git_dir / "objects" / "info" / "alternates", f"{stage.victim}/repository/.git/objects\n".encode())


# --- the git folder itself -------------------------------------------------------------------------------------


@mutation(".git: a file that points elsewhere", late=True)
def _git_file(stage: Stage) -> None:
    stage.put(stage.git_dir, f"gitdir: {stage.victim}/repository/.git\n".encode())


@mutation(".git: a link to another repository", late=True)
def _git_link(stage: Stage) -> None:
    stage.link(stage.git_dir, stage.victim / "repository" / ".git")


@mutation(".git: a FIFO", late=True)
def _git_fifo(stage: Stage) -> None:
    os.mkfifo(stage.clear(stage.git_dir))


@mutation(".git: commondir elsewhere", late=True)
def _commondir(stage: Stage) -> None:
    stage.put(stage.git_dir / "commondir", f"{stage.victim}/repository/.git\n".encode())


@mutation(".git: its own folder of ours is a link", late=True)
def _own_link(stage: Stage) -> None:
    stage.link(stage.git_dir / "dandi-mirror", stage.victim / "files")


@mutation(".git: annex objects are a link", late=True)
def _objects_link(stage: Stage) -> None:
    stage.link(stage.git_dir / "annex" / "objects", stage.victim / "files")


@mutation(".git: the annex's journal is a link", late=True)
def _journal_link(stage: Stage) -> None:
    stage.link(stage.git_dir / "annex" / "journal", stage.victim / "files")


@mutation(".git: last sync is a link or none", late=True)
def _last_sync(stage: Stage) -> None:
    for path in stage.git_dir.glob("dandi-mirror*"):
        if path.is_file():
            stage.link(path, stage.victim / "files" / "secret.txt")


for _name in ("config", "index", "packed-refs", "objects", "objects/pack", "refs", "refs/heads", "logs", "annex",
              "annex/index", "info"):  # fmt: skip
    add(
        f".git: {_name} is a link to another's",
        lambda stage, name=_name: stage.link(stage.git_dir / name, stage.victim / "repository" / ".git" / name),
        late=True,
    )
for _name in (
    "index",
    "packed-refs",
    "info/exclude",
    "objects/info/alternates",
    "objects/pack/pack-x.idx",
    "annex/index",
):
    add(f".git: {_name} is a FIFO", lambda stage, name=_name: os.mkfifo(stage.clear(stage.git_dir / name)), late=True)


@mutation("worktree: one whose folder is elsewhere", (CLONE,), late=True)
def _worktrees(stage: Stage) -> None:
    folder = stage.git_dir / "worktrees" / "x"
    stage.put(folder / "gitdir", f"{stage.victim}/repository/.git\n".encode())
    stage.put(folder / "commondir", b"../..\n")
    stage.put(folder / "HEAD", b"ref: refs/heads/draft\n")
