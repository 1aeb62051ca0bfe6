"""Which store to use, and how to reach it. The settings only fill this in."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from octet.errors import SettingError


@dataclass(frozen=True)
class StorageConfig:
    """What `open_buckets` needs to know.

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
