"""Signatures of events, by the Standard Webhooks specification (symmetric, version 1)."""

from __future__ import annotations

import base64
import binascii
import secrets
from datetime import UTC, datetime

from standardwebhooks import Webhook

from octet.errors import SettingError

_PREFIX = "whsec_"


def new_secret() -> str:
    """A new secret: `whsec_` and 32 random bytes in base64."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def check_secret(secret: str) -> str:
    """The secret itself, if it is one: `whsec_` and 24 to 64 bytes in base64.

    Raises:
        SettingError: if it is not. The message does not show it.
    """
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(_PREFIX) or not 24 <= len(key) <= 64:
        raise SettingError(
            "OCTET_WEBHOOK_SECRET cannot sign events",
            "it must be whsec_ and 24 to 64 bytes in base64, or unset: then one is made",
        )
    return secret


def signed_headers(secret: str, message_id: str, moment: datetime, body: str) -> dict[str, str]:
    """The three headers of a signed event.

    Args:
        secret: see check_secret.
        message_id: the same for each attempt to deliver one event.
        moment: when this attempt is made, with its time zone.
        body: the exact text that is sent.

    Returns:
        `webhook-id`, `webhook-timestamp` (seconds since 1970) and `webhook-signature`
        (`v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`).
    """
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        # The package takes the clock's reading for UTC, whatever its zone.
        "webhook-signature": Webhook(check_secret(secret)).sign(
            message_id, moment.astimezone(UTC), body
        ),
    }
