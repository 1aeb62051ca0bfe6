from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta, timezone

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from octet.errors import SettingError
from octet.outbound.sign import check_secret, new_secret, signed_headers

# The vector of the specification's own libraries (standard-webhooks, libraries/*/tests).
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE = "msg_p5jXN8AQM9LWM0D4loKWxJek"
MOMENT = datetime.fromtimestamp(1614265330, UTC)
BODY = '{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_specifications_vector_is_signed_alike() -> None:
    assert signed_headers(SECRET, MESSAGE, MOMENT, BODY) == {
        "webhook-id": MESSAGE,
        "webhook-timestamp": "1614265330",
        "webhook-signature": SIGNATURE,
    }


def test_the_signature_is_what_the_specification_says() -> None:
    """Computed here once more, by hand: HMAC-SHA256 over id.timestamp.body."""
    secret, body = new_secret(), '{"type": "job.done", "ü": "日本"}'
    headers = signed_headers(secret, "msg_1", MOMENT, body)

    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"msg_1.1614265330.{body}".encode()
    expected = base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


def test_a_receiver_accepts_it_and_nothing_that_was_changed() -> None:
    secret = new_secret()
    headers = signed_headers(secret, "msg_1", datetime.now(UTC), BODY)

    assert Webhook(secret).verify(BODY, headers) == {"test": 2432232314}
    changed = [
        (secret, BODY + " ", headers),
        (secret, BODY, headers | {"webhook-id": "msg_2"}),
        (
            secret,
            BODY,
            headers | {"webhook-timestamp": str(int(datetime.now(UTC).timestamp()) - 9)},
        ),
        (new_secret(), BODY, headers),
    ]
    for other, body, told in changed:
        with pytest.raises(WebhookVerificationError):
            Webhook(other).verify(body, told)


def test_a_moment_of_another_zone_is_the_same_moment() -> None:
    elsewhere = MOMENT.astimezone(timezone(timedelta(hours=5)))
    assert signed_headers(SECRET, MESSAGE, elsewhere, BODY)["webhook-signature"] == SIGNATURE


def test_secrets_are_new_each_time_and_usable() -> None:
    made = {new_secret() for _ in range(20)}
    assert len(made) == 20
    assert all(check_secret(secret) == secret for secret in made)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "whsec_c2hvcnQ=",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_not base64 at all!!",
        "whsec_" + base64.b64encode(bytes(65)).decode(),
    ],
)
def test_an_unusable_secret_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(SettingError) as caught:
        check_secret(secret)
    if len(secret) > 6:
        assert secret[6:] not in str(caught.value)
