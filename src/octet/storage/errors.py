"""What went wrong in a store, as errors of our own, without secrets.

obstore has types for some answers. The HTTP status, the store's error code and the number of
tries stand only in its texts; tests/storage/test_errors.py shows which part a new version breaks.
"""

from __future__ import annotations

import errno
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotModifiedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from octet.errors import (
    ObjectExistsError,
    ObjectMissingError,
    ObjectTooLargeError,
    SettingError,
    StorageError,
    StorageFullError,
    StorageRefusedError,
    StorageUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w{1,64})</Code>")
_TRIES = re.compile(r"after (\d+) retries")
_NETWORK = ("HTTP error", "HttpError", "timed out", "connection", "Interrupted", "incomplete")
_NO_FILE = ("(os error 20)", "(os error 21)", "NotADirectory", "IsADirectory")
_FILE_ERROR = re.compile(r"([A-Z][\w ]*) \(os error \d+\)")
_BEYOND = ("StartTooLarge", "InvalidRange", "status code: 416")

_FULL = {"QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "507"}
_TOO_LARGE = {"EntityTooLarge", "413"}
"""So is InvalidRequest for a copy: AWS' answer above 5 GiB."""
_MEANWHILE = {"OperationAborted", "ConditionalRequestConflict"}
"""Another request for the same object is under way (409): to be sent again, says S3."""

_MISSING_BUCKET = "create it, or let octet create it with these keys"
_CHECK_KEYS = "check the access key, the secret key, the bucket's policy and this machine's clock"
_CHECK_STORE = "check that it runs, its address, and the network between"
_CHECK_FOLDER = "check the folder's permissions and its disk"
_MAKE_ROOM = "free space there, or raise the quota"


@contextmanager
def explained(place: str, action: str, key: str) -> Iterator[None]:
    """Turns what obstore raises into StorageError and its kinds.

    Only the status, the store's own error code and the number of tries are taken over:
    whole answers of S3 services may hold access keys and signatures.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise _missing(place, key, str(error)) from None
    except (BaseError, NotModifiedError, NotImplementedError) as error:
        raise _answered(place, action, key, error) from None
    except OSError as error:
        raise file_error(f"{place} failed to {action} {key!r}", error) from None


def file_error(what: str, error: OSError) -> StorageError:
    """The error of a file or folder, by its kind: what failed, and why."""
    message = f"{what}: {error.strerror or type(error).__name__}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFullError(message, _MAKE_ROOM)
    if error.errno == errno.EFBIG:
        return ObjectTooLargeError(message, "its file system takes no file of this size")
    return StorageError(message, _CHECK_FOLDER)


def lies_beyond(error: BaseException) -> bool:
    """Whether a read failed because it starts at or after the object's end."""
    return any(word in str(error) for word in _BEYOND)


def was_retried(error: BaseException) -> bool:
    """Whether obstore sent the request more than once, so that an earlier one may have counted."""
    return _TRIES.search(str(error)) is not None


def not_implemented(error: BaseException) -> bool:
    """Whether a store refused a conditional put because it does not know them."""
    return isinstance(error, NotImplementedError) or "status code: 501" in str(error)


_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def check_key(key: str) -> str:
    """The key itself, if it can name an object in every store.

    Raises:
        SettingError: if it is empty, absolute, holds an empty, `.` or `..` segment or a
            control character, or is longer than 1024 bytes.
    """
    why = ""
    if any(part in ("", ".", "..") for part in key.split("/")):
        why = "each part between slashes must be a name"
    elif _CONTROL.search(key):
        why = "it holds a control character"
    elif _SURROGATE.search(key):
        why = "it is not valid Unicode"
    elif len(key.encode()) > 1024:
        why = "it is longer than 1024 bytes"
    if why:
        raise SettingError(f"{key[:80]!a} cannot name an object: {why}")
    return key


def _missing(place: str, key: str, text: str) -> StorageError:
    if "NoSuchBucket" in text:
        return StorageRefusedError(f"{place} does not exist", _MISSING_BUCKET)
    if "NoSuchUpload" in text:
        # The answer to the last step of an upload was lost: that ended it, or somebody else did.
        return StorageUnavailableError(
            f"{place} did not say whether {key!r} was put whole", "put it again"
        )
    return ObjectMissingError(f"{place} has no object {key!r}")


def _answered(place: str, action: str, key: str, error: Exception) -> StorageError:
    text = str(error)
    found = _STATUS.search(text), _CODE.search(text)
    status, code = (one[1] if one else "" for one in found)
    answer = " ".join(word for word in (status, code) if word) or _first_line(text)
    refused = f"{place} refused to {action} {key!r}: {answer}"
    if {status, code} & _FULL:
        return StorageFullError(refused, _MAKE_ROOM)
    if {status, code} & _TOO_LARGE or (action, code) == ("copy", "InvalidRequest"):
        return ObjectTooLargeError(refused, "the store has a limit for the size of an object")
    if code in _MEANWHILE:
        return StorageUnavailableError(refused, "send it again")
    if isinstance(error, AlreadyExistsError | PreconditionError):
        return ObjectExistsError(refused)
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return StorageRefusedError(refused, _CHECK_KEYS)
    if any(sign in text for sign in _NO_FILE):
        return _missing(place, key, "")
    if status.startswith("5") or status in ("408", "429"):
        return _unreached(place, action, key, text, f"it answered {answer}")
    if not status and any(word in text for word in _NETWORK):
        return _unreached(place, action, key, text, "no answer")
    return StorageRefusedError(refused)


def _unreached(place: str, action: str, key: str, text: str, why: str) -> StorageError:
    tries = int(found[1]) + 1 if (found := _TRIES.search(text)) else 1
    return StorageUnavailableError(
        f"{place} could not be reached to {action} {key!r}: {why}"
        f" ({tries} {'try' if tries == 1 else 'tries'})",
        _CHECK_STORE,
    )


def _first_line(text: str) -> str:
    # Of a file, obstore names the whole path, which clients must not learn.
    if (found := _FILE_ERROR.search(text)) or "LocalFileSystem" in text:
        return found[1] if found else "it cannot be read"
    return text.split("\n", 1)[0].split("Debug source", 1)[0].strip()[:200]
