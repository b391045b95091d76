"""A published version that is downloaded."""

from __future__ import annotations

TAG = "0.240101.0000"
ONE, TWO = b"one" * 1000, b"two" * 2000
TIME = "2020-05-17T10:00:00Z"
FILES = {"sub-1/a.nwb": ONE, "sub-1/b.nwb": TWO, "sub-2/a.nwb": ONE, "README.md": b"# read\n"}
