"""A DANDI-compatible archive on loopback, for the demo, the tests and the benchmarks.

It shares no code with the client side of this project: it follows recorded answers of the real archive.
"""

from dandi_mirror.embedded.bucket.objects import Objects
from dandi_mirror.embedded.rules.refusals import Refused
from dandi_mirror.embedded.serving.app import Request, Server
from dandi_mirror.embedded.serving.server import serve
from dandi_mirror.embedded.store.archive import Archive
from dandi_mirror.embedded.store.assets import StoredAsset
from dandi_mirror.embedded.store.blobs import Blob
from dandi_mirror.embedded.store.catalog import User
from dandi_mirror.embedded.store.dandiset import Dandiset
from dandi_mirror.embedded.store.generating import generated_zarr, generated_zarrs
from dandi_mirror.embedded.store.versions import Version
from dandi_mirror.embedded.store.zarr import Zarr

__all__ = [
    "Archive",
    "Blob",
    "Dandiset",
    "Objects",
    "Refused",
    "Request",
    "Server",
    "StoredAsset",
    "User",
    "Version",
    "Zarr",
    "generated_zarr",
    "generated_zarrs",
    "serve",
]
