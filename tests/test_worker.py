"""What the worker says of good files is what dandi says of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from dandi_mirror.upload.checks import NOT_CHECKED
from dandi_mirror.upload.read.findings import MOST_OF_DATASET, NOT_RUN, TOO_MANY, of_dataset
from dandi_mirror.upload.read.worker import Worker
from dandi_mirror.upload.read.worker_process import FileError, Limits
from tests.conftest import run
from tests.support.nwb import write_nwb

ETAG = "0123456789abcdef0123456789abcdef-1"
_DANDI = """
import json, sys
from pathlib import Path
from dandi.files import find_dandi_files
from dandi.misctypes import Digest
root = Path(sys.argv[1])
for file in find_dandi_files(root, dandiset_path=root):
    record = file.get_metadata(digest=Digest.dandi_etag(sys.argv[2]), ignore_errors=False)
    print(json.dumps(record.model_dump(mode="json", exclude_none=True)))
"""


def test_the_record_of_an_asset_is_that_of_dandi_upload_at_the_archives_schema(tmp_path: Path) -> None:
    root = tmp_path / "dandiset"
    write_nwb(root / "sub-m1" / "sub-m1.nwb")
    (root / "sub-m1" / "sub-m1_image").mkdir()
    (root / "sub-m1" / "sub-m1_image" / "left.mp4").write_bytes(b"a film")
    (root / "bids" / "sub-1" / "anat").mkdir(parents=True)
    (root / "bids" / "dataset_description.json").write_text('{"Name": "a study", "BIDSVersion": "1.9.0"}')
    (root / "bids" / "sub-1" / "anat" / "sub-1_T1w.json").write_text("{}")
    said = run(sys.executable, "-c", _DANDI, str(root), ETAG).stdout
    theirs = {record["path"]: _lasting(record) for record in map(json.loads, said.splitlines())}
    assert len(theirs) == 4
    with Worker() as worker:
        version = worker.schema_version()
        for path, record in theirs.items():
            digests = {"dandi:dandi-etag": ETAG, "dandi:sha2-256": "1" * 64}
            ours = worker.asset_metadata(root / path, path, root, digests, version)
            assert ours["digest"] == digests and ours["schemaKey"] == "Asset"
            assert _lasting(ours) == record
        path = "sub-m1/sub-m1.nwb"
        older = worker.asset_metadata(root / path, path, root, {"dandi:dandi-etag": ETAG}, "0.7.0")
        assert older["schemaVersion"] == "0.7.0"
        with pytest.raises(FileError, match=r"the archive's schema is 0\.1\.0"):
            worker.asset_metadata(root / path, path, root, {"dandi:dandi-etag": ETAG}, "0.1.0")


def _lasting(record: dict[str, Any]) -> dict[str, Any]:
    """Without when and by which run it was made."""
    kept = {name: value for name, value in record.items() if name not in {"dateModified", "digest", "schemaKey"}}
    kept["wasGeneratedBy"] = [one for one in record.get("wasGeneratedBy", []) if one["schemaKey"] != "Activity"]
    return kept


def test_nwb_files_in_a_bids_dataset_are_described_and_no_reader_calls_the_other_without_end(tmp_path: Path) -> None:
    # dandi's reader of NWB and its reader of BIDS ask each other; that took minutes, where it came to an end at all
    (tmp_path / "dandiset.yaml").write_text("identifier: '000123'\n")
    (tmp_path / "dataset_description.json").write_text('{"Name": "a study", "BIDSVersion": "1.9.0"}')
    path = "sub-01/ieeg/sub-01_task-rest_ieeg.nwb"
    write_nwb(tmp_path / path, subject="01")
    with Worker(limits=Limits(seconds=60)) as worker:
        digests = {"dandi:dandi-etag": ETAG}
        record = worker.asset_metadata(tmp_path / path, path, tmp_path, digests, worker.schema_version())
        assert worker.nwb_facts(tmp_path / path)["subject_id"] == "01"
    assert record["path"] == path
    assert record["wasAttributedTo"][0]["identifier"] == "01"
    assert record["encodingFormat"] == "application/x-nwb"


def test_of_a_bids_dataset_the_errors_are_told_before_its_many_hints_and_that_there_are_more() -> None:
    def found(count: int, severity: str, path: str = "sub-01/x.json") -> list[dict[str, str]]:
        return [{"severity": severity, "id": f"{severity}-{number}", "path": path} for number in range(count)]

    hints, errors = found(MOST_OF_DATASET, "HINT"), found(3, "ERROR")
    told = of_dataset([*hints, *errors, *found(1, "ERROR", "dandiset.yaml")], "dataset_description.json")
    assert told[:3] == errors and len(told) == MOST_OF_DATASET
    assert not any(one["path"] == "dandiset.yaml" for one in told), "which is the mirror's own"
    told = of_dataset([*hints, *found(MOST_OF_DATASET + 1, "ERROR")], "dataset_description.json")
    assert told[-1]["id"] == TOO_MANY and TOO_MANY in NOT_CHECKED
    assert NOT_RUN in NOT_CHECKED
