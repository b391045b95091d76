"""A clone whose git-annex branch names addresses of somebody's choice."""

from __future__ import annotations

import json
import subprocess
from hashlib import sha256
from pathlib import Path

from dandi_mirror.repo.annex.keys import hash_dir_lower, hash_dir_mixed
from dandi_mirror.repo.annex.logs import WEB, location_path, url_path
from tests.conftest import run

CONTENT = b"bytes"
KEY = f"SHA256E-s5--{sha256(CONTENT).hexdigest()}.nwb"
ID = "6a2f0f40-0000-4000-8000-000000000000"


def hostile_clone(
    folder: Path, *, url: str, remotes: list[tuple[str, str]], place: str = WEB, name: str = "DANDI"
) -> Path:
    """A clone whose git-annex branch says what somebody wants it to say."""
    link = f".git/annex/objects/{hash_dir_mixed(KEY)}/{KEY}/{KEY}"
    files = {
        "remote.log": "".join(f"{uuid} {words} timestamp=1s\n" for uuid, words in remotes),
        location_path(hash_dir_lower(KEY), KEY): f"1s 1 {place}\n",
        url_path(hash_dir_lower(KEY), KEY): f"1s 1 {url}\n",
    }
    stream = ["commit refs/heads/draft", "committer A <a@b> 1 +0000", "data 0"]
    stream += [f"M 120000 inline a.nwb\ndata {len(link)}\n{link}"]
    record = f"id: {name}:000123/draft\nidentifier: {name}:000123\n"
    stream += [f"M 100644 inline dandiset.yaml\ndata {len(record)}\n{record}"]
    digest = {"dandi:sha2-256": sha256(CONTENT).hexdigest()}
    asset = json.dumps({"asset_id": ID, "path": "a.nwb", "size": 5, "metadata": {"path": "a.nwb", "digest": digest}})
    stream += [f"M 100644 inline .dandi/assets.jsonl\ndata {len(asset) + 1}\n{asset}\n"]
    stream += ["commit refs/heads/git-annex", "committer A <a@b> 1 +0000", "data 0"]
    stream += [f"M 100644 inline {path}\ndata {len(text)}\n{text}" for path, text in files.items()]
    source = folder / "source"
    run("git", "init", "-q", "-b", "draft", str(source))
    subprocess.run(
        ["git", "-C", str(source), "fast-import", "--quiet"], input="\n".join([*stream, ""]).encode(), check=True
    )
    run("git", "clone", "-q", "-b", "draft", str(source), str(folder / "clone"))
    return folder / "clone"
