"""The example of a receiver takes what Penstock signs, and nothing else."""

from pathlib import Path
from types import ModuleType

import pytest

from penstock.core.work import Message
from penstock.tasks.webhook import deliver

RECEIVE = Path(__file__).parents[3] / "examples" / "webhooks" / "receive.py"
NOW = 1_700_000_000.0


@pytest.fixture
def receiver():
    module = ModuleType("receive")
    exec(RECEIVE.read_text(), vars(module))
    return module


class Sent:
    """What goes out."""

    def __init__(self, secret):
        deliver(Message("msg_1", "https://host/", b'{"type":"job.succeeded"}', secret), self, now=NOW)

    def check(self, url, *, policy):
        raise NotImplementedError

    def post(self, url, body, *, headers, policy, timeout_s=None):
        self.headers, self.body = headers, body
        return 204


@pytest.mark.parametrize("secret", ["plain", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
def test_what_penstock_signs_is_taken(receiver, secret):
    sent = Sent(secret.encode())
    assert receiver.verify(secret, sent.headers, sent.body, now=NOW + 10) == {"type": "job.succeeded"}


@pytest.mark.parametrize("change", ["secret", "body", "time", "id"])
def test_anything_else_is_refused(receiver, change):
    sent = Sent(b"plain")
    secret, body, now, headers = "plain", sent.body, NOW, dict(sent.headers)
    if change == "secret":
        secret = "other"
    elif change == "body":
        body += b" "
    elif change == "time":
        now += 301
    else:
        headers["webhook-id"] = "msg_2"
    with pytest.raises(ValueError, match=r"old|signature"):
        receiver.verify(secret, headers, body, now=now)
