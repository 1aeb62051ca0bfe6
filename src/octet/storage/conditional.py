"""Puts on a condition: that there is no such object yet, or that it is still the same version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import BaseError, NotSupportedError, PreconditionError

from octet.errors import ObjectExistsError, ObjectMissingError, StorageUnavailableError
from octet.storage.errors import explained, not_implemented, was_retried
from octet.storage.reading import Reading, back_off

if TYPE_CHECKING:
    from obstore import PutMode

_TRIES = 3


class ConditionalPut:
    """One put of these bytes, whose lost answers are not taken for another writer's object.

    The condition is asked for before the put (for stores that ignore or refuse it) and in the
    put itself, where it is one atomic step with it.

    Args:
        store: obstore's.
        place: what to call the bucket in messages.
        key: the object.
        data: its bytes.
        attributes: see headers.attributes_of.
        etag: put only if the object still has this etag; None: only if there is none.
    """

    def __init__(
        self,
        store: Any,
        place: str,
        key: str,
        data: bytes,
        attributes: dict[str, str],
        etag: str | None,
    ) -> None:
        self._store, self._place, self._key = store, place, key
        self._data, self._attributes, self._etag = data, attributes, etag

    async def run(self) -> None:
        """Puts the bytes.

        Raises:
            ObjectExistsError: if the condition does not hold.
        """
        for attempt in range(_TRIES):
            try:
                version = await self._check()
            except ObjectExistsError:
                # The try before may have arrived although its answer was lost.
                if attempt and await self._arrived():
                    return
                raise
            try:
                await self._put(version)
            except StorageUnavailableError:
                if attempt + 1 == _TRIES:
                    raise
                await back_off(attempt)
            else:
                return

    async def _put(self, version: str | None) -> None:
        """One try. Ceph before 18 compares the header with its own etag, which has no quotes."""
        tags = [None] if self._etag is None else [self._etag, self._etag.strip('"')]
        for tag in tags:
            mode: PutMode = "create"
            if tag is not None:
                mode = {"e_tag": tag, "version": version} if version else {"e_tag": tag}
            with explained(self._place, "put", self._key):
                try:
                    await self._send(mode)
                except (BaseError, NotImplementedError) as error:
                    if isinstance(error, NotSupportedError) or not_implemented(error):
                        await self._send("overwrite")
                        return
                    if was_retried(error) and await self._arrived():
                        return
                    if tag is tags[-1] or not isinstance(error, PreconditionError):
                        raise
                else:
                    return
            await self._check()

    async def _send(self, mode: PutMode) -> None:
        await obstore.put_async(
            self._store, self._key, self._data, attributes=self._attributes, mode=mode
        )

    async def _check(self) -> str | None:
        """The object's version, where the store has versions, if the condition holds."""
        try:
            with explained(self._place, "look at", self._key):
                found = await obstore.head_async(self._store, self._key)
        except ObjectMissingError:
            if self._etag is None:
                return None
            raise changed(self._place, self._key, None) from None
        if self._etag is None or found["e_tag"] != self._etag:
            raise changed(self._place, self._key, self._etag or "")
        return found["version"]

    async def _arrived(self) -> bool:
        """Whether the object holds these very bytes."""
        reading = Reading(self._store, self._place, self._key, retries=_TRIES)
        return b"".join([chunk async for chunk in reading]) == self._data


def changed(place: str, key: str, etag: str | None) -> ObjectExistsError:
    """The error of a condition that does not hold.

    Args:
        place: what to call the bucket.
        key: the object.
        etag: None: it is gone; empty: it is there, and should not be; else its present one.
    """
    if etag is None:
        return ObjectExistsError(f"{place} has no object {key!r} any more")
    if not etag:
        return ObjectExistsError(f"{place} has an object {key!r} already")
    return ObjectExistsError(f"{place} has another object {key!r} by now")
