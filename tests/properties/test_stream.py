"""Whatever a path or a file holds, fast-import takes it as it is and never as a command."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.importer import Importer
from dandi_mirror.repo.git.process import GitError
from dandi_mirror.repo.git.stream import FILE, LINK, Commit, Inline, blob_id, quote
from tests.conftest import run
from tests.support.values import SLOW

EARLY = datetime(2024, 1, 2, tzinfo=UTC)
REF = "refs/heads/x"
# no rule of ours stands between: what git itself can hold, control characters and all
RAW = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\x00"), min_size=1, max_size=12)
NASTY = st.sampled_from(
    [
        "a\nreset refs/heads/evil\nfrom refs/heads/x\n", "a\ndeleteall", '"', '"quoted"', '\\"', "\\n",
        "\\012", "a b", " a", "a ", "\t", "\r\n", "\x01\x7f", "é\n", "done", "data 3", "M 100644 inline x",
        "-", "--", "\u2028", "\\", "'", "\x1b[0m",
    ]
)  # fmt: skip
NAMES = (RAW | NASTY).filter(lambda name: name.strip(". ").lower()[:4] not in {"", ".git", "git~", "git"})
CONTENTS = st.binary(max_size=50) | st.sampled_from(
    [b"", b"\n", b"done\n", b"data 5\n", b"M 100644 inline a\ndata 1\nx"]
)


@given(st.dictionaries(NAMES, CONTENTS, min_size=80, max_size=200))
@SLOW
def test_git_holds_the_paths_and_contents_that_were_sent_and_no_others(
    tmp_path_factory: Any, files: dict[str, bytes]
) -> None:
    dataset = Dataset(tmp_path_factory.mktemp("r"))
    dataset.create("draft")
    entries = [(f"d/{name}", Inline(content)) for name, content in files.items()]
    with dataset.importing() as importer:
        importer.commit(Commit(REF, EARLY, "one\n"), (), entries)
    tree = dataset.tree(REF)
    assert tree == {path: (FILE, blob_id(entry.content())) for path, entry in entries}
    assert set(dataset.refs()) == {REF}
    with dataset.reader() as reader:
        ids = [oid for _, oid in tree.values()]
        assert list(reader.read(ids)) == [files[path.removeprefix("d/")] for path in tree]
    gone = list(tree)[::2]
    with dataset.importing() as importer:
        importer.commit(Commit(REF, EARLY, "two\n", base=dataset.ref(REF)), gone, [])
    assert dataset.tree(REF) == {path: facts for path, facts in tree.items() if path not in gone}


@given(st.text(max_size=50), st.binary(max_size=50))
@SLOW
def test_messages_and_blobs_are_never_read_as_commands(tmp_path_factory: Any, message: str, content: bytes) -> None:
    message = message.replace("\0", "").encode("utf-8", "replace").decode() + "\nfrom refs/heads/y\ndeleteall\n"
    dataset = Dataset(tmp_path_factory.mktemp("r"))
    dataset.create("draft")
    with dataset.importing() as importer:
        importer.commit(Commit(REF, EARLY, message), (), [("a", Inline(content)), ("b", Inline(content, LINK))])
    raw = run("git", "-C", str(dataset.path), "cat-file", "commit", REF).stdout
    assert raw.partition("\n\n")[2].encode() == message.encode().replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    assert dataset.tree(REF) == {"a": (FILE, blob_id(content)), "b": (LINK, blob_id(content))}


def test_a_plain_path_stays_plain() -> None:
    assert quote("sub-1/a b é.nwb") == "sub-1/a b é.nwb".encode()
    assert quote('a"b\\c\n\t\x7f') == b'"a\\"b\\\\c\\n\\011\\177"'


def test_a_stream_that_is_cut_off_moves_no_ref(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)
    dataset.create("draft")
    with pytest.raises(KeyboardInterrupt), dataset.importing() as importer:
        importer.commit(Commit(REF, EARLY, "half\n"), (), [(f"f{n}", Inline(b"x" * 9000)) for n in range(300)])
        raise KeyboardInterrupt
    assert dataset.refs() == {}


def test_what_git_refuses_is_an_error_of_ours_in_one_line(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)
    dataset.create("draft")
    with pytest.raises(GitError) as error, Importer(tmp_path) as importer:
        importer.commit(Commit(REF, EARLY, "x\n"), (), [("/absolute", Inline(b"x"))])
    assert "\n" not in str(error.value)
    assert dataset.refs() == {}
