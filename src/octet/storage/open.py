"""The buckets of the service: which store they are in, how to reach it, and opening them."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from obstore.store import AzureStore, GCSStore, S3Store

from octet.errors import SettingError
from octet.storage.bucket import Bucket
from octet.storage.errors import check_key, explained
from octet.storage.folder import FolderBucket
from octet.storage.s3 import S3Bucket

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

    from octet.settings import ServiceSettings

_BUCKET_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{1,61})[a-z0-9]")


class Buckets:
    """A store and its buckets. Made by `open_buckets`.

    Attributes:
        queue: the bucket of the songs that come in.
        output: the bucket of the tracks that go out.
    """

    queue: Bucket
    output: Bucket

    def __init__(self, settings: ServiceSettings, patience: float, retries: int) -> None:
        self._settings = settings
        self._patience = patience
        self._retries = retries
        self._opened: dict[str, Bucket] = {}
        self.queue = self.named(settings.queue_bucket)
        self.output = self.named(settings.output_bucket)

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
            self._opened[name] = self._open(name)
        return self._opened[name]

    async def ensure(self) -> None:
        """Creates the two buckets where they are missing.

        Raises:
            StorageUnavailableError: if the store does not answer.
            StorageError: if a bucket is missing and cannot be created.
        """
        await asyncio.gather(*(b.ensure() for b in {self.queue, self.output}))

    def _open(self, name: str) -> Bucket:
        storage = self._settings.storage
        if storage == "s3":
            return self._open_s3(name)
        parts = urlsplit(storage)
        if parts.scheme == "file" and parts.netloc in ("", "localhost") and len(parts.path) > 1:
            return FolderBucket(Path(unquote(parts.path)) / name, name)
        if parts.scheme in ("gs", "az") and parts.netloc and not parts.query:
            prefix = "/".join(part for part in (*parts.path.split("/"), name) if part)
            return self._open_cloud(parts.scheme, parts.netloc, check_key(prefix), name)
        raise SettingError(
            f"OCTET_STORAGE is {storage!r}",
            "use s3, file:///folder, gs://bucket/prefix or az://container/prefix",
        )

    def _open_s3(self, name: str) -> Bucket:
        settings = self._settings

        def store(address: str) -> S3Store:
            return S3Store(
                name,
                endpoint=address,
                access_key_id=settings.minio_access_key.get_secret_value(),
                secret_access_key=settings.minio_secret_key.get_secret_value(),
                region=settings.s3_region,
                client_options=self._client(plain=address.startswith("http://")),
                retry_config=self._retry(),
            )

        endpoint = with_scheme(settings.minio_endpoint, secure=settings.minio_secure)
        public = None
        if settings.public_endpoint:
            public = store(with_scheme(settings.public_endpoint, secure=settings.minio_secure))
        return S3Bucket(
            store(endpoint),
            name,
            endpoint,
            settings.s3_region,
            retries=self._retries,
            public=public,
        )

    def _open_cloud(self, scheme: str, container: str, prefix: str, name: str) -> Bucket:
        kind: Any = GCSStore if scheme == "gs" else AzureStore
        place = f"{scheme}://{container}/{prefix}"
        with explained(place, "open", name):
            store = kind(
                container,
                prefix=prefix,
                client_options=self._client(plain=False),
                retry_config=self._retry(),
            )
        return Bucket(store, name, place, retries=self._retries)

    def _client(self, *, plain: bool) -> ClientConfig:
        return {
            "allow_http": plain,
            "connect_timeout": timedelta(seconds=min(5.0, self._patience)),
            "read_timeout": timedelta(seconds=self._patience),
            # A whole answer may take long; a silent one is cut short by the line above.
            "timeout": timedelta(hours=1),
            "user_agent": "octet",
        }

    def _retry(self) -> RetryConfig:
        return {
            "max_retries": self._retries,
            "retry_timeout": timedelta(seconds=self._patience * (self._retries + 1)),
            "backoff": {
                "init_backoff": timedelta(milliseconds=100),
                "max_backoff": timedelta(seconds=5),
            },
        }


def open_buckets(settings: ServiceSettings, *, patience: float = 30.0, retries: int = 4) -> Buckets:
    """Opens the store. A store elsewhere is asked nothing yet; a local folder is made.

    Args:
        settings: `storage` says which: `s3` (the MINIO_ settings), `file:///folder` (a folder a
            bucket), `gs://bucket/prefix` or `az://container/prefix`. In the last two,
            everything lives in one cloud bucket, under a prefix a bucket; their credentials
            come from the usual environment names (GOOGLE_APPLICATION_CREDENTIALS,
            AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY, ...).
        patience: seconds without a byte after which a request is given up and tried again.
        retries: further tries of a request that failed for the store's or the network's sake.

    Raises:
        SettingError: if the settings make no sense.
        StorageError: if a local folder cannot be made.
    """
    return Buckets(settings, patience, retries)


def with_scheme(endpoint: str, *, secure: bool) -> str:
    """An endpoint as http[s]://host[:port], whether or not it came with a scheme.

    Raises:
        SettingError: if it names no host, another scheme, a user, or a path.
    """
    url = endpoint if "://" in endpoint else f"{'https' if secure else 'http'}://{endpoint}"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise _bad_endpoint(f"{error}") from None
    if "@" in parts.netloc:
        raise _bad_endpoint("it holds a user name or a password")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _bad_endpoint(f"it is {endpoint!r}")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise _bad_endpoint(f"it goes on after the host: {endpoint!r}")
    return f"{parts.scheme}://{parts.netloc}"


def _bad_endpoint(why: str) -> SettingError:
    return SettingError(
        f"the address of the S3 service cannot be used: {why}",
        "set MINIO_ENDPOINT to host:port or http[s]://host:port",
    )
