"""What went wrong in a store, told in the project's own errors, without secrets."""

from __future__ import annotations

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
    SettingError,
    StorageError,
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
    except (AlreadyExistsError, PreconditionError) as error:
        raise ObjectExistsError(_refused(place, action, key, str(error))) from None
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise StorageError(
            _refused(place, action, key, str(error)),
            "check the access key, the secret key, the bucket's policy and this machine's clock",
        ) from None
    except (BaseError, NotModifiedError, NotImplementedError) as error:
        if any(sign in str(error) for sign in _NO_FILE):
            raise _missing(place, key, "") from None
        raise _other(place, action, key, str(error)) from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StorageError(
            f"{place} failed to {action} {key!r}: {reason}",
            "check the folder's permissions and the space left on its disk",
        ) from None


def lies_beyond(error: BaseException) -> bool:
    """Whether a read failed because it starts at or after the object's end."""
    return any(word in str(error) for word in _BEYOND)


def was_retried(error: BaseException) -> bool:
    """Whether obstore sent the request more than once, so that an earlier one may have counted."""
    return _TRIES.search(str(error)) is not None


def not_implemented(error: BaseException) -> bool:
    """Whether a store refused a conditional put because it does not know them."""
    return isinstance(error, NotImplementedError) or "status code: 501" in str(error)


def check_key(key: str) -> str:
    """The key itself, if it can name an object in every store.

    Raises:
        SettingError: if it is empty, absolute, holds an empty, `.` or `..` segment or a
            control character, or is longer than 1024 bytes.
    """
    parts = key.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise _bad_key(key, "each part between slashes must be a name")
    if any(ord(sign) < 32 or ord(sign) == 127 for sign in key):
        raise _bad_key(key, "it holds a control character")
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise _bad_key(key, "it is not valid Unicode") from None
    if size > 1024:
        raise _bad_key(key, "it is longer than 1024 bytes")
    return key


def _bad_key(key: str, why: str) -> SettingError:
    return SettingError(f"{key[:80]!a} cannot name an object: {why}")


def _missing(place: str, key: str, text: str) -> StorageError:
    if "NoSuchBucket" in text:
        return StorageError(
            f"{place} does not exist", "create it, or let octet create it with these keys"
        )
    if "NoSuchUpload" in text:
        # The answer to the last step of an upload was lost: that ended it, or somebody else did.
        return StorageUnavailableError(
            f"{place} did not tell whether {key!r} was put whole", "put it again"
        )
    return ObjectMissingError(f"{place} has no object {key!r}")


def _other(place: str, action: str, key: str, text: str) -> StorageError:
    status = _STATUS.search(text)
    serious = status is not None and (status[1].startswith("5") or status[1] in ("408", "429"))
    network = status is None and any(word in text for word in _NETWORK)
    if not (serious or network):
        return StorageError(_refused(place, action, key, text))
    tries = int(found[1]) + 1 if (found := _TRIES.search(text)) else 1
    reason = f"it answered {_answer(text)}" if serious else "no answer"
    return StorageUnavailableError(
        f"{place} could not be reached to {action} {key!r}: {reason}"
        f" ({tries} {'try' if tries == 1 else 'tries'})",
        "check that it runs, its address, and the network between",
    )


def _refused(place: str, action: str, key: str, text: str) -> str:
    return f"{place} refused to {action} {key!r}: {_answer(text)}"


def _answer(text: str) -> str:
    status, code = _STATUS.search(text), _CODE.search(text)
    words = [found[1] for found in (status, code) if found]
    if words:
        return " ".join(words)
    # What obstore says about files names them with their whole path, which is nobody's business.
    if (found := _FILE_ERROR.search(text)) or "LocalFileSystem" in text:
        return found[1] if found else "it cannot be read"
    return text.split("\n", 1)[0].split("Debug source", 1)[0].strip()[:200]
