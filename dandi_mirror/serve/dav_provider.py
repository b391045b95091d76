"""The tree of a served mirror as wsgidav wants it.  The only module that imports wsgidav at its top."""

from __future__ import annotations

from typing import Any

from wsgidav.dav_provider import DAVCollection, DAVNonCollection, DAVProvider

from dandi_mirror.serve.answers import ErrorAnswer
from dandi_mirror.serve.tree import Node, ServedTree, made_seconds


class TreeProvider(DAVProvider):
    """Finds files and folders; read-only."""

    def __init__(self, tree: ServedTree) -> None:
        super().__init__()
        self._tree = tree

    def is_readonly(self) -> bool:
        """Nothing can be changed."""
        return True

    def get_resource_inst(self, path: str, environ: dict[str, Any]) -> _File | _Folder | None:
        """What is at a path."""
        try:
            node = self._tree.find(path)
        except ErrorAnswer:
            return None
        return _resource(node, path, environ) if node else None


def _resource(node: Node, path: str, environ: dict[str, Any]) -> _File | _Folder:
    return _File(node, path, environ) if node.content else _Folder(node, path, environ)


class _Folder(DAVCollection):
    def __init__(self, node: Node, path: str, environ: dict[str, Any]) -> None:
        super().__init__(path, environ)
        self._node = node

    def get_last_modified(self) -> float | None:
        return made_seconds(self._node)

    def get_member_list(self) -> list[_File | _Folder]:
        above = self.path.rstrip("/")
        return [_resource(node, f"{above}/{node.name}", self.environ) for node in self._node.children()]

    def get_member_names(self) -> list[str]:
        return [node.name for node in self._node.children()]


class _File(DAVNonCollection):
    def __init__(self, node: Node, path: str, environ: dict[str, Any]) -> None:
        super().__init__(path, environ)
        self._node = node

    def get_content_length(self) -> int:
        return self._node.size

    def get_content(self) -> None:
        """Nothing: the server sends the bytes itself."""

    def get_last_modified(self) -> float | None:
        return made_seconds(self._node)

    def get_etag(self) -> str | None:
        return self._node.tag or None

    def support_etag(self) -> bool:
        return bool(self._node.tag)

    def support_ranges(self) -> bool:
        return True
