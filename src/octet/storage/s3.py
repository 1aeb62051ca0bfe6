"""Buckets of an S3 service, which can be created."""

from __future__ import annotations

import asyncio
import re
import urllib.error
import urllib.request
from datetime import timedelta
from typing import TYPE_CHECKING

import obstore

from octet.errors import ObjectTooLargeError, StorageRefusedError, StorageUnavailableError
from octet.storage.bucket import Bucket
from octet.storage.errors import explained
from octet.storage.reading import back_off

if TYPE_CHECKING:
    from obstore.store import S3Store

_CODE = re.compile(rb"<Code>(\w{1,64})</Code>")
_PATIENCE = 10.0


class S3Bucket(Bucket):
    """A bucket of an S3 service.

    Args:
        store: where the objects are.
        name: the bucket's name.
        endpoint: the service's address.
        region: its region.
        retries: see Bucket; further tries of `ensure`, too.
        public: the same bucket behind the address that clients see.
    """

    def __init__(
        self,
        store: S3Store,
        name: str,
        endpoint: str,
        region: str,
        *,
        retries: int = 4,
        public: S3Store | None = None,
    ) -> None:
        super().__init__(
            store, name, f"the bucket {name} at {endpoint}", retries=retries, public=public
        )
        self._region = region

    async def ensure(self) -> None:
        """Creates the bucket where it is missing.

        obstore has no call for this, but it signs: an address for PUT without a key is
        CreateBucket (S3 API reference), an address for HEAD is HeadBucket.

        Raises:
            StorageUnavailableError: if the service does not answer.
            StorageRefusedError: if the bucket is missing and cannot be created.
        """
        for attempt in range(self._retries + 1):
            status, code = await self._ask("HEAD")
            if status == 404:
                status, code = await self._ask("PUT", self._where())
            if status < 300 or code == "BucketAlreadyOwnedByYou":
                return
            if 400 <= status < 500:
                raise StorageRefusedError(
                    f"{self.place} cannot be created or used: {status} {code}".rstrip(),
                    "check the access key, the secret key, and that nobody else has this name",
                )
            if attempt < self._retries:
                await back_off(attempt)
        raise StorageUnavailableError(
            f"{self.place} could not be reached: {code or status}"
            f" ({self._retries + 1} {'tries' if self._retries else 'try'})",
            "check that the store runs, its address, and the network between",
        )

    async def copy(self, source: str, target: str) -> None:
        """Copies inside the store, or through this machine in parts what is too large for that.

        S3 copies up to 5 GiB in one request; copying in parts inside the store
        (UploadPartCopy) is nothing that obstore knows.
        """
        try:
            await super().copy(source, target)
        except ObjectTooLargeError:
            with explained(self.place, "look at", source):
                found = await obstore.get_async(self._store, source, options={"head": True})
            reading = self._reading(source, etag=found.meta["e_tag"] or "")
            await self._put_chunks(target, reading, found.attributes, found.meta["size"])

    def _where(self) -> bytes:
        """The request's body: every region but the first must be named."""
        if self._region in ("", "us-east-1"):
            return b""
        return (
            '<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<LocationConstraint>{self._region}</LocationConstraint>"
            "</CreateBucketConfiguration>"
        ).encode()

    async def _ask(self, method: str, body: bytes = b"") -> tuple[int, str]:
        """Status and error code of a request about the bucket itself; 599 for no answer."""
        url = await obstore.sign_async(
            self._store, "HEAD" if method == "HEAD" else "PUT", "", timedelta(minutes=1)
        )
        # Not httpx: it logs addresses, and this one is as good as a key for a minute.
        request = urllib.request.Request(url, data=body or None, method=method)  # noqa: S310 - http[s] only, by with_scheme

        def ask() -> tuple[int, str]:
            try:
                with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:  # noqa: S310 - as above
                    return answer.status, ""
            except urllib.error.HTTPError as error:
                with error:
                    code = _CODE.search(error.read(10_000))
                    return error.code, code[1].decode() if code else ""
            except urllib.error.URLError as error:
                return 599, str(getattr(error.reason, "strerror", None) or "no answer")
            except (OSError, ValueError) as error:
                return 599, type(error).__name__

        return await asyncio.to_thread(ask)
