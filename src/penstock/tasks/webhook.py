"""Tells a receiver that a job has ended, signed as Standard Webhooks has it.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Final
from urllib.parse import urlsplit

from penstock.core.errors import WebhookRefused
from penstock.core.ports.access import Egress
from penstock.core.work import Message

_SECRET_PREFIX: Final = b"whsec_"


def deliver(message: Message, egress: Egress, *, now: float) -> int:
    """Send a webhook, and return the status of the answer.

    Raises:
        WebhookRefused: when the answer is not one of success.
        EgressRefused: when the workspace may not reach the address.
        DestinationUnavailable: when it cannot be reached now.
    """
    timestamp = str(int(now))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Penstock",
        "webhook-id": message.id,
        "webhook-timestamp": timestamp,
        "webhook-signature": signature(message, timestamp),
    }
    status = egress.post(message.url, message.body, headers=headers, policy=message.policy)
    if not 200 <= status < 300:
        host = urlsplit(message.url).hostname  # no more of the URL: what follows may be a secret
        raise WebhookRefused(
            f"{host} answered {status} to the webhook {message.id}",
            hint="Look at the receiver's log; it is sent again.",
        )
    return status


def signature(message: Message, timestamp: str) -> str:
    """Return what proves that the message is ours: the first version of signatures, HMAC-SHA256."""
    signed = f"{message.id}.{timestamp}.".encode() + message.body
    return "v1," + base64.b64encode(hmac.digest(_key(message.secret), signed, hashlib.sha256)).decode()


def _key(secret: bytes) -> bytes:
    """Return the bytes that a secret stands for: base64 behind `whsec_`, else itself."""
    if not secret.startswith(_SECRET_PREFIX):
        return secret
    try:
        return base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
    except binascii.Error:
        return secret
