"""Validators of others: what the makers of RO-Crate and Croissant say about our exports."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import rocrate
from requests import Request, Response
from requests_cache import CachedSession
from urllib3 import HTTPResponse

CONTEXT = "https://w3id.org/ro/crate/1.2/context"


def judge_crate(file: Path, folder: Path) -> dict[str, Any]:
    """What roc-validator says about a detached crate, without the network: its cache holds the words of RO-Crate."""
    cache = folder / "cache"
    keep_context(cache)
    program = "from rocrate_validator.cli import cli; cli()"
    how = ["--packaging-mode", "detached", "--skip-availability-check", "--offline", "--cache-path", str(cache)]
    typed = [sys.executable, "-c", program, "-y", "validate", str(file), "-f", "json", "-o", str(folder / "said"), *how]
    done = subprocess.run(typed, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert (folder / "said").exists(), done.stdout + done.stderr
    said: dict[str, Any] = json.loads((folder / "said").read_text())
    return said


def keep_context(cache: Path) -> None:
    """Put the words of RO-Crate, as the package rocrate brings them, where roc-validator looks for them."""
    words = (Path(rocrate.__file__).parent / "data" / "ro-crate.jsonld").read_bytes()
    answer = Response()
    answer.status_code, answer.url, answer._content = 200, CONTEXT, words
    answer.headers["Content-Type"] = "application/ld+json"
    answer.raw = HTTPResponse(body=io.BytesIO(words), headers=answer.headers, status=200, preload_content=False)
    answer.request = Request("GET", CONTEXT, headers={"Accept": "application/ld+json, application/json"}).prepare()
    CachedSession(str(cache), backend="sqlite").cache.save_response(answer)


def judge_croissant(file: Path) -> Any:
    """The dataset that mlcroissant reads, which fails if it finds an error."""
    mlcroissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed (Python before 3.13)")

    return mlcroissant.Dataset(jsonld=str(file))
