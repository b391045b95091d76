"""The recorded answers of the real archive."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).parent.parent / "data" / "recorded"


def load(name: str) -> Any:
    return json.loads((RECORDED / f"{name}.json").read_bytes())


def plain(value: Any, origin: str = "") -> Any:
    """``value`` without what differs from run to run."""
    if isinstance(value, dict):
        hidden = {"ETag": "«etag»", "LastModified": "«time»"} if "LastModified" in value else {}
        if isinstance(value.get("version"), int):
            hidden["version"] = "«database id»"
        return {key: hidden.get(key, plain(item, origin)) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item, origin) for item in value]
    if not isinstance(value, str):
        return value
    for host in ("http://localhost:8000", "http://127.0.0.1:9000", *([origin] if origin else [])):
        value = value.replace(host, "«host»")
    value = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|\+00:00)", r"«time\1»", value)
    value = re.sub(r"urn:uuid:[0-9a-f-]{36}", "«uuid»", value)
    value = re.sub(r"<RequestId>\w+</RequestId>", "", value)
    value = re.sub(r"X-Amz-Credential=\w+%2F\d{8}", "X-Amz-Credential=«who»", value)
    return re.sub(r"X-Amz-(Date|Signature)=[\w…]+", r"X-Amz-\1=«»", value)
