"""Which paths may reach git, by table: each rule at its boundary."""

from __future__ import annotations

import pytest

from dandi_mirror import paths
from dandi_mirror.paths import conflicts, is_own, is_visible, refuse_path, same_names

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    "path",
    [
        "a.nwb", "a b/c(1),=&+x.nwb", "é/日本.nwb", "a" * 255, "/".join(["d"] * 64), "sub-1/.bidsignore", "git~1x",
        "x/.dandi", "x/dandiset.yaml", "gitx~1", "gi7eba~12", "é" * 127, "/".join(["é" * 100] * 5), "a~1", "dandi",
        "/".join(["é" * 102] * 5),
    ],
)  # fmt: skip
def test_a_path_that_harms_nobody_is_taken(path: str) -> None:
    assert refuse_path(path) is None


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (None, "the path is not text"),
        (3, "the path is not text"),
        ("a\nb", "a control character in the path (U+000A)"),
        ("a\u200eb", "an invisible character in the path (U+200E)"),
        ("a\ud800", "half a surrogate pair in the path (U+D800)"),
        ("a\u2028b", "a line separator in the path (U+2028)"),
        ("a\u2029b", "a paragraph separator in the path (U+2029)"),
        ("a\u0378b", "a letter that Unicode 3.2 does not know in the path (U+0378)"),
        ("a\u115fb", "an invisible character in the path"),
        ("a\\b", "a backslash in the path"),
        ("", "an empty, '.' or '..' component in the path"),
        ("a//b", "an empty, '.' or '..' component in the path"),
        ("./a", "an empty, '.' or '..' component in the path"),
        ("a/../b", "an empty, '.' or '..' component in the path"),
        ("/".join(["d"] * 65), "more than 64 folders deep"),
        ("é/" + "/".join(["d"] * 64), "more than 64 folders deep"),
        ("a" * 256, "a name of more than 255 bytes"),
        ("é" * 128, "a name of more than 255 bytes"),
        ("/".join(["a" * 250] * 5), "a path of more than 1024 bytes"),
        ("/".join(["é" * 102] * 5) + "a", "a path of more than 1024 bytes"),
        (".git/config", "the name .git is git's own"),
        ("x/.GitModules", "the name .GitModules is git's own"),
        ("x/.mailmap", "the name .mailmap is git's own"),
        ("x/\uff0egit", "the name \uff0egit is git's own"),  # NFKC makes .git of it
        ("x/GIT~1", "the name GIT~1 is git's own"),
        ("x/gitmod~4", "the name gitmod~4 is git's own"),
        ("x/gi7eba~1", "the name gi7eba~1 is git's own"),
        ("x/~123456", None),
        ("x/~1234567", "the name ~1234567 is git's own"),
        (".dandi/x", "the name .dandi is the mirror's own"),
        ("dandiset.yaml", "the name dandiset.yaml is the mirror's own"),
        ("DANDISET.YAML ", "the name DANDISET.YAML  is the mirror's own"),
        ("dandiset.yaml.", "the name dandiset.yaml. is the mirror's own"),
        ("\uff44andiset.yaml", "the name \uff44andiset.yaml is the mirror's own"),  # NFKC, at the top
        (".datalad", "the name .datalad is the mirror's own"),
        (".dandi-mirror/x", "the name .dandi-mirror is the mirror's own"),
        (".dandi-mirror-download", "the name .dandi-mirror-download is the mirror's own"),
        ("dandi-mirror.toml", "the name dandi-mirror.toml is the mirror's own"),
    ],
)
def test_a_path_that_git_or_a_file_system_takes_for_another_is_refused_with_its_reason(
    path: object, reason: str | None
) -> None:
    """The reasons stand in the trees of versions: a change of these words is a change of format."""
    assert refuse_path(path) == reason


def test_all_members_of_a_conflict_are_named() -> None:
    above, below = (
        "a folder of the same name holds other assets",
        "a file of the same name stands where its folder would be",
    )
    assert conflicts(["a", "a/b", "a/c/d", "b", "ab/c"]) == {"a": above, "a/b": below, "a/c/d": below}
    assert conflicts(["a/b", "a/b/c", "a"]) == {"a": above, "a/b": below, "a/b/c": below}
    assert conflicts(["a/b", "a/c", "ab"]) == conflicts([]) == {}


def test_what_is_the_mirrors_own() -> None:
    own = (".dandi/x", ".datalad/config", "dandiset.yaml", ".git/x", "a/.gitattributes")
    assert [is_own(path) for path in (*own, "a/.dandi/x", "git/x")] == [True] * 5 + [False, False]


def test_a_letter_is_visible_if_it_is_seen_where_it_stands() -> None:
    assert [is_visible(letter) for letter in "aü \n\u202e\u200b\u115f\uffa0"] == [True, True, True] + [False] * 5
    assert (paths.LONGEST_COMPONENT, paths.LONGEST_PATH, paths.DEEPEST) == (255, 1024, 64)


def test_names_that_some_disks_take_for_one_are_found_and_no_others() -> None:
    assert same_names(["x/a.nwb", "x/A.nwb", "X/b", "x/c"]) == [["x/A.nwb", "x/a.nwb"]]
    assert same_names(["\u00e9", "e\u0301", "e"]) == [["e\u0301", "\u00e9"]]
    assert same_names(["a/b.nwb", "A/c.nwb", "a.nwb", "a.nwb"]) == []
