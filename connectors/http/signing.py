"""Signatures of webhooks by the Standard Webhooks specification 1.0: HMAC-SHA256 over id, time and body."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence
from enum import StrEnum

from connectors.kit.contract import ConfigError
from connectors.kit.secret import Secret, reveal

PREFIX = "whsec_"
SHORTEST_KEY = 24
LONGEST_KEY = 64
LONGEST_ID = 256


class Fault(StrEnum):
    """Why a signature is not taken."""

    UNSIGNED = "unsigned"
    OUT_OF_TIME = "out-of-time"
    WRONG = "wrong"


class SignatureError(Exception):
    """A webhook that nobody we know has signed, or one that comes again much later."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.value)
        self.fault = fault


def key_of(secret: Secret, field: str) -> bytes:
    """The key of a secret `whsec_` and base64. Raises `ConfigError`."""
    text = reveal(secret, field)
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ConfigError(
            f"a key is {PREFIX} and {SHORTEST_KEY} to {LONGEST_KEY} random bytes in base64: openssl rand -base64 32",
            field,
        ) from None
    if not SHORTEST_KEY <= len(key) <= LONGEST_KEY:
        raise ConfigError(f"a key has {SHORTEST_KEY} to {LONGEST_KEY} bytes, in base64", field)
    return key


def signed(id_: str, at: int, body: bytes, keys: Sequence[bytes]) -> dict[str, str]:
    """The headers of a webhook, with a signature by each key. `at`: seconds since 1970."""
    signatures = " ".join(f"v1,{base64.b64encode(_mac(key, id_, str(at), body)).decode()}" for key in keys)
    return {"webhook-id": id_, "webhook-timestamp": str(at), "webhook-signature": signatures}


def verified(headers: Mapping[str, str], body: bytes, keys: Sequence[bytes], now: float, window_s: float) -> str:
    """The webhook's id, if one of the keys signed it and it is fresh. Every key and signature is compared, in constant time.

    Raises:
        SignatureError: nobody we know signed it, or not within the window.
    """
    id_, at, given = (headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    if not given or not at.isdecimal() or not 0 < len(id_) <= LONGEST_ID:
        raise SignatureError(Fault.UNSIGNED)
    if abs(now - int(at)) > window_s:
        raise SignatureError(Fault.OUT_OF_TIME)
    offered = [part[3:] for part in given.split(" ")[:20] if part.startswith("v1,")]
    good = False
    for key in keys:
        mac = base64.b64encode(_mac(key, id_, at, body))
        for one in offered:
            good |= hmac.compare_digest(mac, one.encode(errors="replace"))
    if not good:
        raise SignatureError(Fault.WRONG)
    return id_


def _mac(key: bytes, id_: str, at: str, body: bytes) -> bytes:
    return hmac.digest(key, f"{id_}.{at}.".encode() + body, "sha256")
