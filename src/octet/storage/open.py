"""The two buckets of the service: which store they are in, how to reach it, and opening them."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
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


@dataclass(frozen=True)
class StorageConfig:
    """Which store to use, and how to reach it.

    Attributes:
        storage: `s3` (an S3 service at `endpoint`), `file:///folder` (a folder a bucket),
            `gs://bucket/prefix` or `az://container/prefix`. In the last two, everything
            lives in one cloud bucket, under a prefix a bucket; their credentials come from
            the usual environment names (GOOGLE_APPLICATION_CREDENTIALS,
            AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY, ...).
        endpoint: address of the S3 service, with or without a scheme.
        access_key: access key of the S3 service.
        secret_key: secret key of the S3 service. Never shown.
        secure: HTTPS for an endpoint without a scheme.
        region: region of the S3 service.
        public_endpoint: address of the S3 service as clients see it, for presigned links;
            the endpoint itself if None.
        queue_bucket: name of the bucket of the songs that come in.
        output_bucket: name of the bucket of the tracks that go out.
        patience: seconds without a byte after which a request is given up and tried again.
        retries: further tries of a request that failed for the store's or the network's sake.
    """

    storage: str = "s3"
    endpoint: str = "minio:9000"
    access_key: str = field(default="rootuser", repr=False)
    secret_key: str = field(default="rootpass123", repr=False)
    secure: bool = False
    region: str = "us-east-1"
    public_endpoint: str | None = None
    queue_bucket: str = "demucs-bucket"
    output_bucket: str = "demucs-output"
    patience: float = 30.0
    retries: int = 4

    def endpoint_url(self) -> str:
        """The endpoint with a scheme.

        Raises:
            SettingError: if it is not an address of the form [http[s]://]host[:port].
        """
        return with_scheme(self.endpoint, secure=self.secure)

    @classmethod
    def of(cls, settings: ServiceSettings) -> Self:
        """What the settings of the service say."""
        return cls(
            storage=settings.storage,
            endpoint=settings.minio_endpoint,
            access_key=settings.minio_access_key.get_secret_value(),
            secret_key=settings.minio_secret_key.get_secret_value(),
            secure=settings.minio_secure,
            region=settings.s3_region,
            public_endpoint=settings.public_endpoint,
            queue_bucket=settings.queue_bucket,
            output_bucket=settings.output_bucket,
        )


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
    return Bucket(store, name, place, retries=config.retries)


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
