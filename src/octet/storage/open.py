"""The two buckets of the service, opened as the settings say."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from obstore.store import AzureStore, GCSStore, S3Store

from octet.errors import SettingError
from octet.storage.config import with_scheme
from octet.storage.errors import check_key, explained
from octet.storage.folder import FolderBucket
from octet.storage.objects import ObjectBucket
from octet.storage.s3 import S3Bucket

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

    from octet.storage.bucket import Bucket
    from octet.storage.config import StorageConfig

_BUCKET_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{1,61})[a-z0-9]")


class Buckets:
    """A store and its buckets. Made by `open_buckets`.

    Attributes:
        queue: the bucket of the songs that come in.
        output: the bucket of the tracks that go out.
    """

    queue: Bucket
    output: Bucket

    def __init__(self, config: StorageConfig) -> None:
        self._config = config
        self._opened: dict[str, Bucket] = {}
        self.queue = self.named(config.queue_bucket)
        self.output = self.named(config.output_bucket)

    def named(self, name: str) -> Bucket:
        """Any bucket of the same store, for messages that name one.

        Raises:
            SettingError: if the name is no bucket's name (3 to 63 lower-case letters,
                digits, dots and hyphens, a letter or digit first and last).
        """
        if not _BUCKET_NAME.fullmatch(name) or ".." in name:
            raise SettingError(
                f"{name[:80]!a} cannot name a bucket",
                "3 to 63 lower-case letters, digits, dots and hyphens",
            )
        if name not in self._opened:
            self._opened[name] = _open(self._config, name)
        return self._opened[name]

    async def ensure(self) -> None:
        """Creates the two buckets where they are missing.

        Raises:
            StorageUnavailableError: if the store does not answer.
            StorageError: if a bucket is missing and cannot be created.
        """
        await asyncio.gather(*(b.ensure() for b in {self.queue, self.output}))


def open_buckets(config: StorageConfig) -> Buckets:
    """Opens the store. A store elsewhere is asked nothing yet; a local folder is made.

    Raises:
        SettingError: if the configuration makes no sense.
        StorageError: if a local folder cannot be made.
    """
    return Buckets(config)


def _open(config: StorageConfig, name: str) -> Bucket:
    if config.storage == "s3":
        return _open_s3(config, name)
    parts = urlsplit(config.storage)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and len(parts.path) > 1:
        return FolderBucket(Path(unquote(parts.path)) / name, name)
    if parts.scheme in ("gs", "az") and parts.netloc and not parts.query:
        prefix = "/".join(part for part in (*parts.path.split("/"), name) if part)
        return _open_cloud(config, parts.scheme, parts.netloc, check_key(prefix), name)
    raise SettingError(
        f"OCTET_STORAGE is {config.storage!r}",
        "use s3, file:///folder, gs://bucket/prefix or az://container/prefix",
    )


def _open_s3(config: StorageConfig, name: str) -> Bucket:
    def store(endpoint: str) -> S3Store:
        return S3Store(
            name,
            endpoint=endpoint,
            access_key_id=config.access_key,
            secret_access_key=config.secret_key,
            region=config.region,
            client_options=_client(config, plain=endpoint.startswith("http://")),
            retry_config=_retry(config),
        )

    endpoint = config.endpoint_url()
    public = None
    if config.public_endpoint:
        public = store(with_scheme(config.public_endpoint, secure=config.secure))
    return S3Bucket(
        store(endpoint), name, endpoint, config.region, retries=config.retries, public=public
    )


def _open_cloud(
    config: StorageConfig, scheme: str, container: str, prefix: str, name: str
) -> Bucket:
    kind: Any = GCSStore if scheme == "gs" else AzureStore
    place = f"{scheme}://{container}/{prefix}"
    with explained(place, "open", name):
        store = kind(
            container,
            prefix=prefix,
            client_options=_client(config, plain=False),
            retry_config=_retry(config),
        )
    return ObjectBucket(store, name, place, retries=config.retries)


def _client(config: StorageConfig, *, plain: bool) -> ClientConfig:
    return {
        "allow_http": plain,
        "connect_timeout": timedelta(seconds=min(5.0, config.patience)),
        "read_timeout": timedelta(seconds=config.patience),
        # A whole answer may take long; a silent one is cut short by the line above.
        "timeout": timedelta(hours=1),
        "user_agent": "octet",
    }


def _retry(config: StorageConfig) -> RetryConfig:
    return {
        "max_retries": config.retries,
        "retry_timeout": timedelta(seconds=config.patience * (config.retries + 1)),
        "backoff": {
            "init_backoff": timedelta(milliseconds=100),
            "max_backoff": timedelta(seconds=5),
        },
    }
