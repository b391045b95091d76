"""What the properties are tried on."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

QUICK = settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
"""For what is computed."""
SLOW = settings(QUICK, max_examples=6, phases=[Phase.explicit, Phase.generate])
"""For what starts a program; a failing example is shown as it is, for to shrink it would take minutes."""

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=25,
)

PIECES = (
    ".", "..", "", ".git", ".GIT", ".git ", ".git.", "git~1", "GIT~2", "gitmod~1", "GITMOD~4", "gi7eba~1",
    "gi7d29~2", "gi250a~1", "maba30~3", "~1234567", "g~123456", "gitatt~1", ".gitmodules",
    ".gitattributes", ".gitignore", ".mailmap", "mailma~1", ".datalad", ".dandi", "dandiset.yaml",
    "DANDISET.YAML ", ".hidden", "-rf", "--output=x", ":(exclude)", "~", "#", "()", "[a]", "^", "`id`",
    "$(id)", "CON", "nul.txt", "a\nb", "a\tb", "a\rb", "x\n", " lead", "trail ", "trail.", "a\\b", '"q"',
    "'", "\x7f", "\x1b[2J", "\x85", "\u2028", "\u202e", "\u200c", ".g\u200cit", "\ufeff", "\u0301",
    "e\u0301", "\u00e9", "\uff0egit", "\u2024git", ".\uff47it", ".g\u0131t", ".g\u017fit", "\U0001ccdcIT",
    "\ud800", "\udcff", "\x00", "a" * 255, "a" * 256, "\u00e9" * 128, "A.TXT", "a.txt", "Dir", "dir",
    "sub-1", "ses-2", "x.nwb", "README", "data.tsv", "x.tar.gz", "*", "?", "HEAD", "refs", "index.lock",
    "\u212a", "ﬁle", "日本", "\U0001f600",
)  # fmt: skip
"""Names that some part of git, a file system or a shell reads in its own way; and ordinary ones."""

COMPONENTS = st.sampled_from(PIECES) | st.text(max_size=6) | st.text(".git~1 mod/\\\u200c", max_size=8)
PATHS = st.lists(COMPONENTS, min_size=1, max_size=4).map("/".join)
LETTERS = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\x00")
