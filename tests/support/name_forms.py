"""Every form in which people name a Dandiset, a version, an asset or a place in it."""

from __future__ import annotations

from typing import Any

from dandi_mirror.archive.instances import KNOWN
from dandi_mirror.archive.names import Name

DANDI, SANDBOX, DOCKER = KNOWN["dandi"], KNOWN["dandi-sandbox"], KNOWN["dandi-api-local-docker-tests"]
LINC, EMBER = KNOWN["linc"], KNOWN["ember-dandi"]
SITE, API = "https://dandiarchive.org", DANDI
TAG = "0.220126.1852"
ID = "0a748f90-d497-4a9c-822e-9c63811db412"
OURS = "https://archive.example.org/api"
S3 = "https://dandiarchive.s3.amazonaws.com"


def of(instance: str | None = None, dandiset: str | None = None, version: str | None = None, **more: Any) -> Name:
    return Name("", instance, dandiset, version, **more)


FORMS: dict[str, Name] = {
    # short
    "000004": of(None, "000004"),
    " 000004 ": of(None, "000004"),
    "000004/": of(None, "000004"),
    f"000004@{TAG}": of(None, "000004", TAG),
    "000004@draft": of(None, "000004", "draft"),
    "000004@Draft": of(None, "000004", "draft"),
    f"000004/{TAG}": of(None, "000004", TAG),
    f"000004@{TAG}/sub-P10HMH": of(None, "000004", TAG, path="sub-P10HMH"),
    f"000004/{TAG}/sub-P10HMH/": of(None, "000004", TAG, path="sub-P10HMH/"),
    "000004/sub-P10HMH/a b.nwb": of(None, "000004", path="sub-P10HMH/a b.nwb"),
    "000004/100%25.nwb": of(None, "000004", path="100%25.nwb"),
    "000004//sub-1/./a.nwb": of(None, "000004", path="sub-1/a.nwb"),
    "000004@draft/sub-*/é.nwb": of(None, "000004", "draft", glob="sub-*/é.nwb"),
    # identifiers, in any case
    "DANDI:000004": of("dandi", "000004"),
    "dandi:000004/DRAFT": of("dandi", "000004", "draft"),
    f"Dandi:000004/{TAG}": of("dandi", "000004", TAG),
    f"DANDI:000004@{TAG}": of("dandi", "000004", TAG),
    f"DANDI:000004/{TAG}/sub-1/": of("dandi", "000004", TAG, path="sub-1/"),
    "DANDI-SANDBOX:000029": of("dandi-sandbox", "000029"),
    "DANDI-API-LOCAL-DOCKER-TESTS:000029": of("dandi-api-local-docker-tests", "000029"),
    "LINC:000029/draft": of("linc", "000029", "draft"),
    "LINC-STAGING:000029": of("linc-staging", "000029"),
    f"EMBER-DANDI:000029/{TAG}": of("ember-dandi", "000029", TAG),
    "EMBER-DANDI-SANDBOX:000029/draft": of("ember-dandi-sandbox", "000029", "draft"),
    "OURS:000029": of("ours", "000029"),
    # dandi://
    "dandi://dandi/000004": of("dandi", "000004"),
    f"dandi://dandi/000004@{TAG}/sub-P10HMH/": of("dandi", "000004", TAG, path="sub-P10HMH/"),
    "DANDI://DANDI/000004@draft/sub-1/a.nwb": of("dandi", "000004", "draft", path="sub-1/a.nwb"),
    "dandi://dandi/000004/sub-1%2Fa%20b.nwb": of("dandi", "000004", path="sub-1/a b.nwb"),
    "dandi://linc/000004/f*/bar.nwb": of("linc", "000004", glob="f*/bar.nwb"),
    "dandi://dandi-api-local-docker-tests/000002@draft/path": of(
        "dandi-api-local-docker-tests", "000002", "draft", path="path"
    ),
    "dandi://dandi/000108/sub-1/file.ome.zarr/0/0/0": of("dandi", "000108", path="sub-1/file.ome.zarr", entry="0/0/0"),
    "dandi://dandi/000108@draft/file.ngff/scale0/": of("dandi", "000108", "draft", path="file.ngff", entry="scale0/"),
    "dandi://dandi/000108/sub-1/file.ome.zarr": of("dandi", "000108", path="sub-1/file.ome.zarr"),
    # registries of identifiers
    "https://identifiers.org/DANDI:000004": of("dandi", "000004"),
    f"http://identifiers.org/dandi:000004/{TAG}": of("dandi", "000004", TAG),
    "https://identifiers.org/DANDI:000004/draft": of("dandi", "000004", "draft"),
    f"10.48324/dandi.000004/{TAG}": of("dandi", "000004", TAG),
    f"doi:10.48324/DANDI.000004/{TAG}": of("dandi", "000004", TAG),
    f"https://doi.org/10.48324/dandi.000004/{TAG}": of("dandi", "000004", TAG),
    "https://dx.doi.org/10.48324/dandi.000004": of("dandi", "000004"),
    f"https://doi.org/10.48324%2Fdandi.000004%2F{TAG}": of("dandi", "000004", TAG),
    f"10.80507/dandi.000004/{TAG}": of("dandi-sandbox", "000004", TAG),
    f"10.80507/dev-dandi.000003/{TAG}": of("dev-dandi", "000003", TAG),
    # web pages
    f"{SITE}/dandiset/000004": of(DANDI, "000004"),
    f"{SITE}/dandiset/000004?search=ophys&pos=8": of(DANDI, "000004"),
    f"{SITE}/dandiset/000004/{TAG}": of(DANDI, "000004", TAG),
    f"{SITE}/dandiset/000004/{TAG}/": of(DANDI, "000004", TAG),
    f"{SITE}/dandiset/000004/{TAG}/files": of(DANDI, "000004", TAG),
    f"{SITE}/dandiset/000004/draft/files?location=": of(DANDI, "000004", "draft"),
    f"{SITE}/dandiset/000004/draft/files?location=%2Fsub-1%2F": of(DANDI, "000004", "draft", path="sub-1/"),
    f"{SITE}/dandiset/000004/{TAG}/files?location=sub-1&page=2": of(DANDI, "000004", TAG, path="sub-1"),
    f"{SITE}/dandiset/000004/draft/files?location=sub-1%2Fa.nwb": of(DANDI, "000004", "draft", path="sub-1/a.nwb"),
    f"{SITE}/dandiset/000004/draft/files?location=sub-1/*.nwb": of(DANDI, "000004", "draft", glob="sub-1/*.nwb"),
    f"{SITE}/dandiset/000004/files?location=sub-1": of(DANDI, "000004", path="sub-1"),
    f"{SITE}/dandiset/000004/draft/metadata": of(DANDI, "000004", "draft"),
    f"{SITE}/#/dandiset/000001": of(DANDI, "000001"),
    f"{SITE}/#/dandiset/000006/{TAG}/files?location=%2Fsub-1": of(DANDI, "000006", TAG, path="sub-1"),
    "http://dandiarchive.org/dandiset/000004": of(DANDI, "000004"),
    f"{SITE}/api/dandiset/000004": of(DANDI, "000004"),
    "https://gui.dandiarchive.org/#/dandiset/000003": of(DANDI, "000003"),
    "https://sandbox.dandiarchive.org/#/dandiset/000018": of(SANDBOX, "000018"),
    "https://lincbrain.org/dandiset/000010/draft": of(LINC, "000010", "draft"),
    "https://dandi.emberarchive.org/dandiset/000010": of(EMBER, "000010"),
    "http://localhost:8085/dandiset/000002": of(DOCKER, "000002"),
    "https://deploy-preview-854--gui-dandiarchive-org.netlify.app/#/dandiset/000018": of(SANDBOX, "000018"),
    "https://gui-dandiarchive-org.netlify.app/#/dandiset/000018": of(DANDI, "000018"),
    "https://example.org/dandiset/000123/draft": of(None, "000123", "draft", ask="https://example.org"),
    # the API
    f"{API}/dandisets/000004": of(API, "000004"),
    f"{API}/dandisets/000004/": of(API, "000004"),
    "https://api.dandiarchive.org/dandisets/000004/": of(API, "000004"),
    f"{API}/dandisets/000004/versions/": of(API, "000004"),
    f"{API}/dandisets/000004/versions/draft": of(API, "000004", "draft"),
    f"{API}/dandisets/000004/versions/{TAG}/": of(API, "000004", TAG),
    f"{API}/dandisets/000004/versions/{TAG}/info/": of(API, "000004", TAG),
    f"{API}/dandisets/000004/versions/draft/assets/": of(API, "000004", "draft"),
    f"{API}/dandisets/000004/versions/draft/assets/?path=sub-P10HMH%2Fa": of(
        API, "000004", "draft", prefix="sub-P10HMH/a"
    ),
    f"{API}/dandisets/000004/versions/draft/assets?path=sub-1&page_size=20": of(API, "000004", "draft", prefix="sub-1"),
    f"{API}/dandisets/000004/versions/draft/assets/?order=path&path=sub-Yuta*": of(
        API, "000004", "draft", prefix="sub-Yuta*"
    ),
    f"{API}/dandisets/000004/versions/draft/assets/?glob=sub-%2A.nwb": of(API, "000004", "draft", glob="sub-*.nwb"),
    f"{API}/dandisets/000004/versions/draft/assets/paths/?path_prefix=sub-1%2F": of(
        API, "000004", "draft", path="sub-1/"
    ),
    f"{API}/dandisets/000004/versions/draft/assets/{ID}/": of(API, "000004", "draft", asset=ID),
    f"{API}/dandisets/000004/versions/draft/assets/{ID}/download": of(API, "000004", "draft", asset=ID),
    f"{API}/dandisets/000004/versions/draft/assets/{ID}/info/": of(API, "000004", "draft", asset=ID),
    f"{API}/assets/{ID}": of(API, asset=ID),
    f"{API}/assets/{ID}/download/": of(API, asset=ID),
    f"{API}/assets/{ID.upper()}/info/": of(API, asset=ID),
    f"{API}/zarr/{ID}/": of(API, zarr=ID),
    f"{API}/zarr/{ID}/files/?prefix=0%2F0": of(API, zarr=ID, entry="0/0"),
    "http://localhost:8000/api/dandisets/000002/versions/draft/": of(DOCKER, "000002", "draft"),
    f"{OURS}/dandisets/000004/": of(OURS, "000004"),
    "https://example.org/own/api/dandisets/000004/": of("https://example.org/own/api", "000004"),
    f"http://127.0.0.1:8311/api/assets/{ID}/download/": of("http://127.0.0.1:8311/api", asset=ID),
    ID: of(asset=ID),
    f"dandiasset:{ID}": of(asset=ID),
    # S3
    f"{S3}/blobs/0a7/48f/{ID}": of(DANDI, blob=ID),
    f"{S3}/blobs/0a7/48f/{ID}?versionId=abc": of(DANDI, blob=ID),
    f"https://s3.amazonaws.com/dandiarchive/blobs/0a7/48f/{ID}": of(DANDI, blob=ID),
    f"https://dandiarchive.s3.us-east-2.amazonaws.com/blobs/0a7/48f/{ID}": of(DANDI, blob=ID),
    f"s3://dandiarchive/blobs/0a7/48f/{ID}": of(DANDI, blob=ID),
    f"{S3}/zarr/{ID}/": of(DANDI, zarr=ID),
    f"https://linc-brain-mit-prod-us-east-2.s3.amazonaws.com/zarr/{ID}/": of(KNOWN["linc"], zarr=ID),
    f"s3://linc-brain-mit-staging-us-east-2/zarr/{ID}/0": of(KNOWN["linc-staging"], zarr=ID, entry="0"),
    f"https://ember-open-data.s3.us-east-2.amazonaws.com/blobs/0a7/48f/{ID}": of(KNOWN["ember-dandi"], blob=ID),
    f"https://s3.amazonaws.com/ember-open-data-sandbox/blobs/0a7/48f/{ID}": of(KNOWN["ember-dandi-sandbox"], blob=ID),
    f"s3://dandiarchive/zarr/{ID}/0/0/.zarray": of(DANDI, zarr=ID, entry="0/0/.zarray"),
    f"{S3}/dandisets/000004/{TAG}/assets.yaml": of(DANDI, "000004", TAG),
    f"https://another-bucket.s3.amazonaws.com/blobs/0a7/48f/{ID}": of(blob=ID),
    f"http://127.0.0.1:9000/dandi-dandisets/blobs/0a7/48f/{ID}": of(blob=ID),
    f"http://127.0.0.1:9000/dandi-dandisets/zarr/{ID}/0": of(zarr=ID, entry="0"),
    # what only a request can tell
    "https://bit.ly/dandi12": of(ask="https://bit.ly/dandi12"),
    "https://gui.dandiarchive.org/": of(ask="https://gui.dandiarchive.org/"),
}
