"""Messages on `toWorker`: all the shapes of the contract, and Octet's own.

Octet's own is the contract's, with one more key `octet`, which carries what others do not know
(and the id of the submission), so that a message alone is enough to run the job.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from octet.errors import MessageError, SettingError
from octet.jobs.job import KEY, PRIORITIES, Callback, JobRequest, is_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Complete = Callable[[Mapping[str, Any]], tuple[str, Mapping[str, Any]]]
    """The whole recipe of somebody who asks for this, and its key: empty for the default."""

LONGEST = 4 * 1024**2
"""Bytes of the longest message that is read."""

_SONG = ("hash", "songhash")
_BUCKET = ("bucket", "input_bucket")
_OBJECT = ("object", "input_object", "object_name", "key")


@dataclass(frozen=True)
class Message:
    """A message that was read. `submission` is empty when somebody else wrote it."""

    request: JobRequest
    submission: str


def complete_alone(recipe: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Names a recipe where the service's default is not known, and leaves it as it is."""
    if not recipe:
        return "", recipe
    text = json.dumps(recipe, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16], recipe


def read_message(raw: bytes, complete: Complete = complete_alone) -> Message:
    """Reads a message.

    Args:
        raw: a JSON object (contract.md "Queue"), a JSON string that is a song's name, or the
            bare name. A callback that makes no sense is left out; unknown keys are ignored.
        complete: completes and names the recipe of a message that is not Octet's own.

    Raises:
        MessageError: it is no job: not such JSON, too long, or without the name of a song.
    """
    if len(raw) > LONGEST:
        raise MessageError(f"the message has {len(raw)} bytes, more than {LONGEST}")
    parts = _parse(raw)
    try:
        return _request(parts, complete)
    except SettingError as error:
        raise MessageError(error.message, error.hint) from None


def is_foreign(raw: bytes) -> bool:
    """Whether somebody else than Octet wrote the message."""
    try:
        parts = json.loads(raw)
    except ValueError:
        return True
    return not isinstance(parts, dict) or "octet" not in parts


def write_message(request: JobRequest, submission: str) -> bytes:
    """The message of a request, readable by every consumer of the contract."""
    lab = next((hook for hook in request.callbacks if hook.kind == "lab"), None)
    own: dict[str, Any] = {"submission": submission, "priority": request.priority}
    own |= {"recipe": dict(request.recipe), "key": request.key}
    if request.name:
        own["name"] = request.name
    if hooks := [_hook(hook) for hook in request.callbacks if hook is not lab]:
        own["callbacks"] = hooks
    parts = {
        "hash": request.song,
        **({"bucket": request.bucket} if request.bucket else {}),
        **({"object": request.object} if request.object else {}),
        **({"model": request.recipe["model"]} if request.key and "model" in request.recipe else {}),
        "callback": {"url": lab.url, "data": lab.data} if lab else None,
        "octet": own,
    }
    return json.dumps(parts, separators=(",", ":")).encode()


def callback_entry(callback: Callback) -> bytes:
    """A callback as octet:callbacks:<id> keeps it: a JSON object of strings.

    The lab's data is in it as text, so that no script ever turns it into numbers and back.
    """
    parts = {"url": callback.url, "kind": callback.kind, "body": callback.body}
    if callback.origin:
        parts["import"] = callback.origin
    return json.dumps(parts, sort_keys=True).encode()


def read_entry(entry: bytes) -> Callback:
    """The callback that `callback_entry` wrote."""
    parts = json.loads(entry)
    data = json.loads(parts["body"]) if parts["body"] else None
    return Callback(parts["url"], data, parts["kind"], parts.get("import", ""))


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        text = raw.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise MessageError("the message is not UTF-8") from error
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        value = text
    if isinstance(value, dict):
        return value
    if text.startswith(("{", "[")):
        raise MessageError("the message is not a JSON object")
    # A bare name may look like a number to JSON.
    return {"hash": value if isinstance(value, str) else text}


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _request(parts: dict[str, Any], complete: Complete) -> Message:
    song = _text(parts, _SONG)
    if not song:
        raise MessageError("the message names no song", "it needs the key 'hash'")
    own = parts.get("octet")
    own = own if isinstance(own, dict) else {}
    recipe: Mapping[str, Any] = _recipe(own.get("recipe"), _text(parts, ("model",)))
    key = own.get("key")
    if not isinstance(key, str) or (key and not KEY.fullmatch(key)):
        key, recipe = complete(recipe)
    given = own.get("callbacks")
    hooks = [_callback(hook) for hook in given] if isinstance(given, list) else []
    priority = own.get("priority")
    request = JobRequest(
        song=song,
        recipe=recipe,
        key=key,
        bucket=_text(parts, _BUCKET),
        object=_text(parts, _OBJECT),
        callbacks=tuple(hook for hook in (_callback(parts.get("callback")), *hooks) if hook),
        priority=priority if priority in PRIORITIES else "normal",
        name=_text(own, ("name",)) or "",
    )
    return Message(request, _text(own, ("submission",)) or "")


def _text(parts: dict[str, Any], names: tuple[str, ...]) -> str | None:
    """The first of these keys that holds a text that can be stored."""
    for name in names:
        value = parts.get(name)
        if isinstance(value, str) and value and is_text(value):
            return value
    return None


def _recipe(value: Any, model: str | None) -> dict[str, Any]:
    """What a message asks for, as far as it can be stored; `settings` may stand by themselves."""
    if not isinstance(value, dict):
        return {"model": model} if model else {}
    settings = value.get("settings")
    flat = {**value, **(settings if isinstance(settings, dict) else {})}
    return {name: part for name, part in flat.items() if is_text(name) and _is_plain(part)}


def _is_plain(part: Any) -> bool:
    if isinstance(part, str):
        return is_text(part)
    if isinstance(part, list):
        return all(isinstance(one, str) and is_text(one) for one in part)
    return isinstance(part, int | float)


def _hook(callback: Callback) -> dict[str, Any]:
    parts = {"url": callback.url, "data": callback.data, "kind": callback.kind}
    return {**parts, "import": callback.origin} if callback.origin else parts


def _callback(value: Any) -> Callback | None:
    """A callback, from an object with a url or from a bare url; None when it is neither."""
    if isinstance(value, str):
        value = {"url": value}
    if not isinstance(value, dict) or not _text(value, ("url",)):
        return None
    kind = value.get("kind")
    return Callback(
        url=value["url"],
        data=value.get("data"),
        kind=kind if kind in ("lab", "event") else "lab",
        origin=_text(value, ("import",)) or "",
    )
