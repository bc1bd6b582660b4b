"""A webhook is signed as Standard Webhooks has it, and arrives or says why not."""

import base64

import pytest

from penstock.core.access import Policy
from penstock.core.errors import WebhookRefused
from penstock.core.work import Message
from penstock.tasks.webhook import deliver, signature

POLICY = Policy(("10.0.0.0/8",))


class TwinEgress:
    """A way out that leads nowhere."""

    def __init__(self, status=204):
        self.status = status
        self.posts = []

    def check(self, url, *, policy):
        raise NotImplementedError

    def post(self, url, body, *, headers, policy, timeout_s=None):
        self.posts.append((url, body, headers, policy))
        return self.status


def message(secret=b"secret"):
    return Message("msg_1", "https://hooks.example.com/x?token=t", b'{"type":"job.succeeded"}', secret, POLICY)


def test_the_signature_is_that_of_the_standard():
    """The example of the specification's reference libraries."""
    given = Message(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", "", b'{"test": 2432232314}', b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    )
    assert signature(given, "1614265330") == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_that_is_no_base64_signs_as_it_is():
    assert signature(message(b"whsec_!"), "1") == signature(message(b"whsec_!"), "1") != signature(message(), "1")
    assert base64.b64decode(signature(message(), "1").removeprefix("v1,"))


def test_what_is_sent_names_itself_and_its_time():
    egress = TwinEgress()
    assert deliver(message(), egress, now=1_700_000_000.9) == 204
    ((url, body, headers, policy),) = egress.posts
    assert (url, body, policy) == (message().url, message().body, POLICY)
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("msg_1", "1700000000")
    assert headers["webhook-signature"] == signature(message(), "1700000000")


@pytest.mark.parametrize("status", [199, 302, 400, 410, 503])
def test_another_answer_than_success_is_a_refusal_that_tells_no_more_than_the_host(status):
    with pytest.raises(WebhookRefused) as caught:
        deliver(message(), TwinEgress(status), now=0.0)
    assert caught.value.message == f"hooks.example.com answered {status} to the webhook msg_1"
