"""Every setting, with the environment variable that sets it.

The contract's names (REDIS_HOST, MINIO_ENDPOINT, ...) stand as they are; Octet's own begin
with OCTET_. docs/settings.md lists all of them, and a test holds it to that.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import (
    AliasChoices,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from octet.errors import SettingError
from octet.formats import FormatName  # pydantic reads it

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

PrecisionName = Literal["auto", "fp32", "bf16", "fp16"]
DamagedName = Literal["refuse", "skip"]

_GIB = 1024**3

_SERVICE_LINK = re.compile(r"(?:tcp|udp|sctp)://\S*:(\d+)\Z")

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d{1,3})?")

_ORIGIN = re.compile(r"https?://[^/\s@]+")

SomeSettings = TypeVar("SomeSettings", bound=BaseSettings)


class SeparationSettings(BaseSettings):
    """What the separation itself needs. The command line reads these alone."""

    model_config = SettingsConfigDict(env_prefix="OCTET_", extra="ignore", frozen=True)

    model: str = Field(
        "pocket", min_length=1, description="Name or folder of the model, or two (A+B)."
    )
    model_policy: Literal["any", "commercial"] = Field(
        "any", description="`commercial` refuses models whose licence forbids commercial use."
    )
    trust_checkpoint: bool = Field(
        False, description="Load pickled checkpoints (.th). They can run code: only your own."
    )
    device: str = Field(
        "auto",
        description="Where to compute: auto, cpu, cuda, cuda:1 (the second GPU) or mps. A worker"
        " runs other models than its default on the processor where they exist for nothing else.",
    )
    threads: int = Field(
        0, ge=0, le=1024, description="Threads that compute on a processor; 0 is all its cores."
    )
    precision: PrecisionName = Field(
        "auto",
        description="Arithmetic of the network; of a worker's other models where they can.",
    )
    overlap: float | None = Field(
        None, ge=0, lt=1, description="Share by which segments overlap; the model's own if unset."
    )
    shifts: int = Field(0, ge=0, le=100, description="Averaged passes at random offsets.")
    format: FormatName = Field(
        "mp3", description="File format of the tracks; `stem`, one file, not of a service."
    )
    bits: Literal[16, 24, 32] | None = Field(
        None,
        description="Bits a sample of flac and wav, the song's own if unset; of a stem file, which"
        " is lossless then.",
    )
    bitrate: int | None = Field(None, ge=8, description="Kilobits a second of lossy formats.")
    cache: Path | None = Field(
        None, description="Folder of downloaded and converted models; the user's cache if unset."
    )
    scratch: Path | None = Field(
        None, description="Folder for decoded samples during a separation; the system's if unset."
    )
    max_bytes: int = Field(2 * _GIB, ge=1, description="Largest song accepted, in bytes.")
    max_seconds: float = Field(
        6 * 3600, gt=0, description="Longest song accepted, in seconds, counted while decoding."
    )
    max_channels: int = Field(32, ge=1, description="Most channels accepted in a song.")
    damaged: DamagedName = Field(
        "skip",
        description="What becomes of a song that is damaged in a place: `skip` puts silence of the"
        " same length there, and says so; `refuse` refuses the song.",
    )

    @property
    def scratch_folder(self) -> Path:
        """Where decoded samples go: `scratch`, else a folder of the system."""
        return self.scratch or default_scratch()

    @field_validator("device")
    @classmethod
    def _is_device(cls, value: str) -> str:
        if not _DEVICE.fullmatch(value):
            raise ValueError("there are auto, cpu, cuda, cuda:1 and so on, and mps")
        return value

    @field_validator("bits", mode="before")
    @classmethod
    def _number_of_bits(cls, value: object) -> object:
        # The environment gives strings, which a Literal of integers does not accept.
        return int(value) if isinstance(value, str) and value.isdecimal() else value


def _contract(name: str) -> AliasChoices:
    """The contract's name of a variable, and the field's own for keyword arguments."""
    return AliasChoices(name.upper(), name)


class ServiceSettings(BaseSettings):
    """What the API, the worker and the logs service need besides the separation."""

    model_config = SettingsConfigDict(
        env_prefix="OCTET_", extra="ignore", frozen=True, populate_by_name=True
    )

    redis_host: str = Field(
        "redis", validation_alias=_contract("redis_host"), description="Host of Redis or Valkey."
    )
    redis_port: int = Field(
        6379, ge=1, le=65535, validation_alias=_contract("redis_port"), description="Its port."
    )
    redis_url: SecretStr | None = Field(
        None, description="Full address instead (redis://, rediss://, unix://), with a password."
    )
    minio_endpoint: str = Field(
        "minio:9000",
        validation_alias=_contract("minio_endpoint"),
        description="Address of the S3 service, with or without a scheme.",
    )
    minio_access_key: SecretStr = Field(
        SecretStr("rootuser"),
        validation_alias=_contract("minio_access_key"),
        description="Access key of the S3 service.",
    )
    minio_secret_key: SecretStr = Field(
        SecretStr("rootpass123"),
        validation_alias=_contract("minio_secret_key"),
        description="Secret key of the S3 service.",
    )
    minio_secure: bool = Field(
        False,
        validation_alias=_contract("minio_secure"),
        description="HTTPS for an endpoint without a scheme.",
    )
    queue_bucket: str = Field(
        "demucs-bucket",
        validation_alias=_contract("queue_bucket"),
        description="Bucket of the songs that come in.",
    )
    output_bucket: str = Field(
        "demucs-output",
        validation_alias=_contract("output_bucket"),
        description="Bucket of the tracks that go out.",
    )
    storage: str = Field(
        "s3", description="`s3` (the MINIO_ settings), file:///folder, gs://prefix or az://prefix."
    )
    s3_region: str = Field("us-east-1", description="Region of the S3 service.")
    public_endpoint: str | None = Field(
        None, description="Address of the store for presigned links, if clients see another one."
    )
    presign: bool = Field(
        False, description="Answer a track's address with a redirect to the store."
    )

    host: str = Field("127.0.0.1", description="Address on which the API listens.")
    port: int = Field(5000, ge=0, le=65535, description="Port of the API; 0 takes a free one.")
    api_keys: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="SHA-256 (hex) of each API key, comma-separated; none: loopback only.",
    )
    open: bool = Field(
        False, description="Serve everybody beyond loopback too where there are no API keys."
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Origins (https://music.example.org) whose pages may use the API, and whose "
        "names it answers to without keys, comma-separated.",
    )
    root_path: str = Field(
        "",
        pattern=r"^(/[A-Za-z0-9._~-]+)*$",
        description="Path under which a proxy serves the API (/octet), if it does not say it.",
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        ("127.0.0.1", "::1"),
        description="Addresses and networks of proxies whose X-Forwarded-Prefix and -Proto count, "
        "comma-separated.",
    )
    max_upload: int = Field(512 * 1024**2, ge=1, description="Largest upload, in bytes.")
    max_queue: int = Field(10_000, ge=1, description="Waiting jobs before new ones get 503.")
    allow_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Inside hosts and networks that callbacks and imports may reach, "
        "comma-separated.",
    )
    webhook_secret: SecretStr | None = Field(
        None, description="Secret that signs events (whsec_...); made and kept if unset."
    )
    keep_days: float = Field(30, gt=0, description="Days for which finished jobs stay listed.")
    max_dead: int = Field(
        10_000, ge=1, description="Dead letters kept; beyond, the oldest are dropped and counted."
    )
    max_deliveries: int = Field(
        100_000, ge=1, description="Callbacks kept until they arrive; beyond, the oldest likewise."
    )

    keep_results: float | None = Field(
        None, gt=0, description="Days for which results stay in the store; for ever if unset."
    )
    keep_uploads: float | None = Field(
        None, gt=0, description="Days for which uploads without a job stay; for ever if unset."
    )

    worker_id: str | None = Field(None, description="Name of a worker; made if unset.")
    lease: float = Field(30, gt=0.5, description="Seconds after which a silent worker has lost.")
    grace: float = Field(
        25, ge=0, description="Seconds that a worker may take to stop before it hands back."
    )
    attempts: int = Field(3, ge=1, description="Claims without an end before a job is given up.")
    fallback: Annotated[tuple[str, ...], NoDecode] = Field(
        ("pocket", "original"),
        description="What is published when the model fails for good, in order, or `none`.",
    )
    stall: float = Field(
        120, gt=0, description="Seconds without progress after which a computation is stopped."
    )
    load_stall: float = Field(
        1800,
        gt=0,
        description="The same while a model is fetched, converted or waited for.",
    )
    job_seconds: float = Field(
        86_400,
        gt=0,
        description="Seconds that a model may take for one song, from its start to its last "
        "track; then it is stopped, and a fallback made.",
    )
    store_patience: float = Field(
        60,
        ge=0,
        description="Seconds for which a store that refuses is tried before the attempt fails.",
    )
    memory_limit: int = Field(
        0, ge=0, description="Most memory of a computation, in MiB; 0 is no limit."
    )
    metrics_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port of a worker's metrics; none if unset. Workers of `octet up` count up.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least weight of what is logged."
    )

    @field_validator(
        "api_keys", "allow_hosts", "fallback", "cors_origins", "trusted_proxies", mode="before"
    )
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("redis_port", "port", "metrics_port", mode="before")
    @classmethod
    def _no_service_link(cls, value: object, info: ValidationInfo) -> object:
        # Beside a Service called "redis" or "octet", Kubernetes sets REDIS_PORT or OCTET_PORT to
        # tcp://ADDRESS:PORT. That is where the Service answers, which is asked for in the first
        # case only; where this process listens does not follow from it.
        link = _SERVICE_LINK.match(value) if isinstance(value, str) else None
        if link is None or info.field_name is None:
            return value
        if info.field_name == "redis_port" and info.data.get("redis_host") == "redis":
            return link[1]
        return cls.model_fields[info.field_name].default

    @field_validator("fallback")
    @classmethod
    def _none_is_empty(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return () if value == ("none",) else value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError("each must be a scheme and a host, and a port if not the usual")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ipaddress.ip_network(network)  # whose error says what is wrong
        return value

    @field_validator("api_keys")
    @classmethod
    def _are_hashes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for key in value:
            if len(key) != 64 or not set(key) <= set("0123456789abcdef"):
                raise ValueError("each must be a SHA-256 in lower-case hex (octet key makes one)")
        return value


def default_scratch() -> Path:
    """Where decoded samples go unless a folder is named.

    TMPDIR if it is set; else /var/tmp, which lies on a disk where /tmp may be memory: an hour
    of music takes 1.3 GB.
    """
    lasting = Path("/var/tmp")  # noqa: S108  # the files in it have no name: nobody can guess it
    if "TMPDIR" not in os.environ and os.access(lasting, os.W_OK):
        return lasting
    return Path(tempfile.gettempdir())


def read_settings(kind: type[SomeSettings], **given: Any) -> SomeSettings:
    """Reads settings from the environment.

    Args:
        kind: the class of settings.
        given: values that win over the environment; None means not given.

    Raises:
        SettingError: naming the variable and what is wrong with its value.
    """
    values = {name: value for name, value in given.items() if value is not None}
    try:
        return kind(**values)
    except ValidationError as error:
        raise _explained(kind, error) from None


def variable(kind: type[BaseSettings], name: str) -> str:
    """The environment variable that sets the field `name`."""
    alias = kind.model_fields[name].validation_alias
    if isinstance(alias, AliasChoices):
        return str(alias.choices[0])
    return f"{kind.model_config.get('env_prefix', '')}{name}".upper()


def default_of(kind: type[BaseSettings], name: str) -> str:
    """The default of the field `name`, as documents and help show it."""
    return _default(kind.model_fields[name])


def describe(kind: type[BaseSettings]) -> list[tuple[str, str, str]]:
    """Name, default and meaning of every setting, in order, for documents and help."""
    return [
        (variable(kind, name), _default(field), field.description or "")
        for name, field in kind.model_fields.items()
    ]


def _default(field: FieldInfo) -> str:
    value = field.default
    if value in (None, (), ""):
        return "-"
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _explained(kind: type[BaseSettings], error: ValidationError) -> SettingError:
    first = error.errors(include_url=False)[0]
    place = str(first["loc"][0]) if first["loc"] else ""
    field = place.lower()
    secret = "key" in field or "secret" in field or "url" in field
    value = "(hidden)" if secret else repr(first.get("input"))
    name = variable(kind, field) if field in kind.model_fields else place
    wrong = str(first["msg"]).removeprefix("Value error, ")
    return SettingError(f"{name} is {value}: {wrong}", "docs/settings.md lists the settings")
