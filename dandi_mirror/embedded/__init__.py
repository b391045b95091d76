"""A DANDI-compatible archive on loopback: what the demo, the tests and the benchmarks talk to.

It shares nothing with the client side of this project: its truth is what the real archive answered.
"""

from dandi_mirror.embedded.assets import Asset, Blob, Zarr
from dandi_mirror.embedded.bucket import Objects
from dandi_mirror.embedded.dandiset import Dandiset
from dandi_mirror.embedded.rules import Refused
from dandi_mirror.embedded.server import Request, Server, serve
from dandi_mirror.embedded.store import Archive, User
from dandi_mirror.embedded.versions import Version

__all__ = [
    "Archive",
    "Asset",
    "Blob",
    "Dandiset",
    "Objects",
    "Refused",
    "Request",
    "Server",
    "User",
    "Version",
    "Zarr",
    "serve",
]
