"""A person who uploads, and another one elsewhere."""

from tests.support.uploading import elsewhere, me, mine, token

__all__ = ["elsewhere", "me", "mine", "token"]
