"""The two buckets of the service, opened as the settings say."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from octet.storage.bucket import Bucket
    from octet.storage.config import StorageConfig


class Buckets:
    """A store and its buckets.

    Attributes:
        queue: the bucket of the songs that come in.
        output: the bucket of the tracks that go out.
    """

    queue: Bucket
    output: Bucket

    def named(self, name: str) -> Bucket:
        """Any bucket of the same store, for messages that name one.

        Raises:
            SettingError: if the name is no bucket's name (3 to 63 lower-case letters,
                digits, dots and hyphens).
        """
        raise NotImplementedError

    async def ensure(self) -> None:
        """Creates the two buckets where they are missing.

        Raises:
            StorageUnavailableError: if the store does not answer.
            StorageError: if a bucket cannot be created.
        """
        raise NotImplementedError


def open_buckets(config: StorageConfig) -> Buckets:
    """Opens the store. Nothing is asked of it yet.

    Raises:
        SettingError: if the configuration makes no sense.
    """
    raise NotImplementedError
