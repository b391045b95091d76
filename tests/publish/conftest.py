"""A person who publishes."""

from tests.support.uploading import mine, token

__all__ = ["mine", "token"]
