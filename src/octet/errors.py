"""Every error that Octet raises on purpose, in one tree.

OctetError
├── AudioError                the song
│   ├── NotAudioError         not a file that holds sound
│   ├── DamagedAudioError     audio, but cut off or broken on the way
│   └── LimitError            longer, larger, or with more channels than is allowed
├── ModelError                the network
│   ├── UnknownModelError     no such name, folder or file
│   ├── ModelUnavailableError known, but not on this machine, and not to be fetched
│   ├── ModelDamagedError     the file is not what its hash or its format promises
│   ├── UntrustedModelError   loading it would run code that somebody else wrote
│   └── ModelPolicyError      its licence does not allow what this service is for
├── DeviceError               a device, precision or runtime that is not to be had
├── OutputError               the results cannot be written
├── SettingError              a setting, option or argument that makes no sense
├── CancelledError            somebody asked for the work to stop
├── ComputationError          a computing process was killed, hung, or failed unforeseen
├── UnfitError                this worker or its machine is at fault, not the job
├── QueueError                Redis or Valkey
│   ├── QueueUnavailableError it does not answer
│   ├── MessageError          a message on the queue that cannot be read as a job
│   ├── LeaseLostError        the job belongs to another worker by now
│   └── KeyReusedError        one Idempotency-Key for two different requests
├── StorageError              the buckets
│   ├── StorageUnavailableError  the store does not answer
│   ├── StorageFullError      no room: a quota, or a full disk
│   ├── StorageRefusedError   the store answers, and does not let it through
│   ├── ObjectTooLargeError   larger than the store takes
│   ├── ObjectMissingError    no such object
│   └── ObjectExistsError     a conditional put found the object there already
├── RemoteError               somebody else's server, at an address that a client gave
│   ├── ForbiddenAddressError the address is not one that Octet may be sent to
│   ├── RemoteRefusedError    it answers, and does not give what was asked for
│   └── RemoteUnavailableError  it does not answer, or not as it should
└── ServiceError              an answer of Octet's own API, seen by its client
"""

from __future__ import annotations


class OctetError(Exception):
    """The base of all errors here.

    Args:
        message: what is wrong, one line, without a full stop.
        hint: what to do about it, one line; empty when there is nothing to do.

    `code` names the kind for programs (the API's problem documents, the manifest).
    """

    code = "error"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}. {self.hint}" if self.hint else self.message


class AudioError(OctetError):
    """Something is wrong with the song."""

    code = "audio"


class NotAudioError(AudioError):
    """The file holds no sound that can be decoded."""

    code = "not-audio"


class DamagedAudioError(AudioError):
    """The file is audio, but it is cut off or broken on the way."""

    code = "damaged-audio"


class LimitError(AudioError):
    """The song is longer, larger or wider than is allowed."""

    code = "limit"


class ModelError(OctetError):
    """Something is wrong with the model."""

    code = "model"


class UnknownModelError(ModelError):
    """There is no model of this name, and no such folder."""

    code = "unknown-model"


class ModelUnavailableError(ModelError):
    """The model is known, but it is not on this machine and cannot be fetched."""

    code = "model-unavailable"


class ModelDamagedError(ModelError):
    """The file is not what its hash or its format promises."""

    code = "model-damaged"


class UntrustedModelError(ModelError):
    """Loading the file would run code that somebody else wrote."""

    code = "untrusted-model"


class ModelPolicyError(ModelError):
    """The model's licence does not allow what this service is for."""

    code = "model-policy"


class DeviceError(OctetError):
    """The device, precision or runtime that was asked for is not to be had."""

    code = "device"


class OutputError(OctetError):
    """The results cannot be written."""

    code = "output"


class SettingError(OctetError):
    """A setting, option or argument makes no sense."""

    code = "setting"


class CancelledError(OctetError):
    """Somebody asked for the work to stop."""

    code = "cancelled"


class ComputationError(OctetError):
    """The process that computes was killed, hung, or failed in a way that nobody foresaw."""

    code = "computation"


class TooLongError(ComputationError):
    """A separation took more time than a job may have; another attempt would, too."""

    code = "too-long"


class UnfitError(OctetError):
    """The worker or its machine is at fault: the job goes back unharmed, for any other worker."""

    code = "unfit"


class QueueError(OctetError):
    """Something is wrong between Octet and its Redis or Valkey."""

    code = "queue"


class QueueUnavailableError(QueueError):
    """The queue server does not answer."""

    code = "queue-unavailable"


class MessageError(QueueError):
    """A message on the queue cannot be read as a job."""

    code = "message"


class LeaseLostError(QueueError):
    """The job belongs to another worker by now: what this one did must not count."""

    code = "lease-lost"


class KeyReusedError(QueueError):
    """One Idempotency-Key was used for two different requests."""

    code = "key-reused"


class StorageError(OctetError):
    """Something is wrong between Octet and its object store."""

    code = "storage"


class StorageUnavailableError(StorageError):
    """The object store does not answer."""

    code = "storage-unavailable"


class StorageFullError(StorageError):
    """There is no room for the object: a quota is used up, or the disk is full."""

    code = "storage-full"


class StorageRefusedError(StorageError):
    """The store answers, and refuses: keys, a policy, a missing bucket, a bad request."""

    code = "storage-refused"


class ObjectTooLargeError(StorageError):
    """The object is larger than the store takes."""

    code = "object-too-large"


class ObjectMissingError(StorageError):
    """There is no such object."""

    code = "object-missing"


class ObjectExistsError(StorageError):
    """A conditional put found the object there already."""

    code = "object-exists"


class RemoteError(OctetError):
    """Something is wrong with a server of others, at an address that a client gave."""

    code = "remote"


class ForbiddenAddressError(RemoteError):
    """The address is malformed, or leads to where clients must not send Octet."""

    code = "forbidden-address"


class RemoteRefusedError(RemoteError):
    """The server answers, and not with what was asked for: asking again will not help."""

    code = "remote-refused"


class RemoteUnavailableError(RemoteError):
    """The server does not answer, or not as it should."""

    code = "remote-unavailable"


class ServiceError(OctetError):
    """Octet's API answered with an error.

    `status` is the HTTP status; 0 when there was no answer at all.
    """

    code = "service"

    def __init__(self, message: str, hint: str = "", *, status: int = 0) -> None:
        super().__init__(message, hint)
        self.status = status
