"""The catalogue at the top of the server: built into a folder of the mirror, kept up to date while people read."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from dandi_mirror.catalogue.build import build
from dandi_mirror.catalogue.members import members
from dandi_mirror.catalogue.pages import POLICY, STATIC, Site, waiting_page
from dandi_mirror.catalogue.preview_form import VERSION
from dandi_mirror.catalogue.previews import NOT_NOW, Previews, Wanted, is_previewed
from dandi_mirror.catalogue.rows import Rows
from dandi_mirror.catalogue.state import read_state
from dandi_mirror.errors import LockedError, MirrorError
from dandi_mirror.files.opening import read_file
from dandi_mirror.mirror.search.index import opened, path_of
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.serve.answers import ErrorAnswer, not_found

FOLDER = "catalogue"
"""The folder in a mirror's ``.dandi-mirror``."""
LOOKING = 4
"""Previews that may be waited for at a time; who comes later is told to come again."""
PAUSE = 30.0
"""Seconds between two builds, unless a sync has changed something."""
_PLACE = re.compile(
    r"(?:index|all)\.html|feed\.xml|search/part-[0-9]+-[0-9a-f]{12}\.js|d/([0-9]{6})/[a-z0-9-]+\.(?:js|html)"
)
_PREVIEW = re.compile(rf"d/[0-9]{{6}}/preview-{VERSION}-([0-9a-f]{{32}})\.js")
_TYPES = {
    "html": "text/html",
    "xml": "application/atom+xml",
    "js": "text/javascript",
    "css": "text/css",
    "txt": "text/plain",
}
_HEADERS = {
    "Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class Pages:
    """Answers with the pages of a mirror's catalogue; a request starts a build in the background if one is due."""

    def __init__(self, mirror: Mirror, site: Site, previews: Previews | None = None) -> None:
        self.mirror, self.site, self.previews = mirror, site, previews
        self._looking = threading.BoundedSemaphore(LOOKING)
        self.folder = Path(mirror.own / FOLDER)
        self._lock = threading.Lock()
        self._building: threading.Thread | None = None
        self._done: tuple[float, object] = (0.0, None)
        """When the last build was over, and what the mirror remembered when it began."""
        self._known: tuple[object, frozenset[str], frozenset[str]] = (None, frozenset(), frozenset())
        """By state of mirror and catalogue: the Dandisets that may be shown, and those that are."""
        self._doing = "looking at the mirror"
        self._failed = ""

    def answer(self, request: Request) -> Response:
        """A page, or a part of one.

        Raises:
            ErrorAnswer: 404 for what is not a page, or not open.
        """
        path = str(request.path_params["path"]) or "index.html"
        path = f"{path}index.html" if path.endswith("/") else path
        if path.removeprefix("assets/") in STATIC:
            return self._file(self.folder / path, path)
        found = _PLACE.fullmatch(path)
        if not found:
            raise not_found()
        self._refresh()
        allowed, shown = self._members()
        if found[1] and found[1] not in allowed:
            raise not_found()
        if found[1] and (preview := _PREVIEW.fullmatch(path)):
            return self._preview(found[1], preview[1])
        # what all Dandisets are in must not tell of one that has closed since
        if (not found[1] and not shown <= allowed) or (self._is_building() and found[1] and found[1] not in shown):
            return self._wait()
        return self._file(self.folder / path, path)

    def _preview(self, dandiset: str, digest: str) -> Response:
        """The preview of a file or a Zarr, made now if there is none yet."""
        wanted = self._wanted(dandiset, digest)
        if not self.previews or not wanted:
            raise not_found()
        if not self._looking.acquire(blocking=False):
            raise ErrorAnswer(503, "Other files are being looked into; ask again.")
        try:
            content = self.previews.look(dandiset, wanted)
        except NOT_NOW as error:
            if self.previews.is_stopped:
                raise
            content = self.previews.error_script(wanted.digest, str(error))
        finally:
            self._looking.release()
        return Response(content, headers=_HEADERS, media_type=_TYPES["js"])

    def _wanted(self, dandiset: str, digest: str) -> Wanted | None:
        """The file or the Zarr of a Dandiset whose digest begins so."""
        with opened(path_of(self.mirror)) as database:
            rows = Rows(database, dandiset)
            for asset in rows.with_content(digest):
                if is_previewed(asset.path):
                    return Wanted(asset.path, asset.size, asset.sha256, "")
            for path, zarr, checksum in rows.zarrs_in_state(digest):
                return Wanted(path, 0, checksum, zarr)
        return None

    def _file(self, path: Path, name: str) -> Response:
        content = read_file(path)
        if content is None:
            if self._is_building() or self._failed:
                return self._wait()
            raise not_found()
        kind = _TYPES[name.rpartition(".")[2]]
        return Response(content, headers=_HEADERS, media_type=kind)

    def _wait(self) -> Response:
        """A page that says how far the first build is, and loads itself again."""
        content = waiting_page(self.site, self._failed or self._doing, over=bool(self._failed))
        return Response(content, 503, headers=_HEADERS | {"Retry-After": "5"}, media_type="text/html")

    def _members(self) -> tuple[frozenset[str], frozenset[str]]:
        state = self._signature(), _facts(self.folder / "catalogue.json")
        if self._known[0] != state:
            catalogue = read_state(self.folder)
            shown = frozenset(catalogue.dandisets if catalogue else ())
            self._known = state, frozenset(members(self.mirror, embargoed=False)), shown
        return self._known[1:]

    def _signature(self) -> object:
        """What tells that a sync has changed what the mirror remembers."""
        return _facts(Path(self.mirror.own / "index.sqlite"))

    # --- building ------------------------------------------------------------------------------------------------

    def _is_building(self) -> bool:
        return bool(self._building and self._building.is_alive())

    def _refresh(self) -> None:
        """Start a build in the background, if the mirror has changed or some time has passed."""
        with self._lock:
            signature = self._signature()
            when, before = self._done
            if self._is_building() or (before == signature and time.monotonic() - when < PAUSE):
                return
            self._building = threading.Thread(target=self._build, args=(signature,), daemon=True)
            self._building.start()

    def _build(self, signature: object) -> None:
        try:
            self.mirror.make_own()
            build(self.mirror, self.folder, self.site, self._tell)
            self._failed = ""
        except LockedError:
            pass  # another server of this mirror builds it
        except MirrorError as error:
            self._failed = str(error)
        self._done = time.monotonic(), signature

    def _tell(self, dandiset: str, doing: str) -> None:
        self._doing = f"{dandiset}: {doing}"


def _facts(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0
    return found.st_ino, found.st_mtime_ns, found.st_size
