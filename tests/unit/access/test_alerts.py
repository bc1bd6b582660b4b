"""Alerts reach a receiver over HTTP and SMTP, and neither what a policy forbids nor files of the machine."""

import socket
from email import message_from_bytes

import pytest
from aiosmtpd.controller import Controller

from penstock.access.alerts import ProcessSender
from penstock.core.access import Policy
from penstock.core.alerts import Alert
from penstock.core.errors import AlertRefused, DestinationUnavailable, EgressRefused
from tests.receiving import receiver

ALERT = Alert("shop/sales failed (2026-05-01)", "run: run_1 of 2026-05-01\ntask: clean (script)")
LOOPBACK = Policy(egress=("127.0.0.1",))


class Mailbox:
    def __init__(self) -> None:
        self.taken: list[bytes] = []

    async def handle_DATA(self, _server, _session, envelope) -> str:  # noqa: N802  # the name that aiosmtpd calls
        self.taken.append(envelope.content)
        return "250 OK"


def test_a_webhook_gets_the_subject_and_the_text():
    with receiver() as server:
        ProcessSender().send(f"json://127.0.0.1:{server.server_port}/hook", ALERT, policy=LOOPBACK)
    [taken] = server.taken
    assert taken["title"] == ALERT.subject
    assert taken["message"] == ALERT.text


def test_a_mailbox_gets_a_mail():
    mailbox = Mailbox()
    controller = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        url = f"mailto://127.0.0.1:{controller.port}?from=penstock@example.com&to=team@example.com&smtp=127.0.0.1"
        ProcessSender().send(url, ALERT, policy=LOOPBACK)
    finally:
        controller.stop()
    [mail] = map(message_from_bytes, mailbox.taken)
    assert mail["Subject"] == ALERT.subject
    assert mail["To"] == "team@example.com"
    assert "task: clean (script)" in str(mail.get_payload(decode=True))


def test_a_private_address_is_not_reached_unless_the_policy_lists_it():
    with receiver() as server:
        url = f"json://127.0.0.1:{server.server_port}/hook"
        with pytest.raises(EgressRefused, match=r"leads to 127\.0\.0\.1, which is not a public address"):
            ProcessSender().send(url, ALERT, policy=Policy())
        with pytest.raises(EgressRefused):
            ProcessSender().send(
                f"json://localhost:{server.server_port}", ALERT, policy=Policy(egress=("127.0.0.1:9",))
            )
    assert server.taken == []


def test_a_redirect_leads_nowhere_that_the_policy_forbids():
    with receiver(status=302) as server:
        url = f"json://127.0.0.1:{server.server_port}/hook"
        with pytest.raises((EgressRefused, AlertRefused, DestinationUnavailable)):
            ProcessSender().send(url, ALERT, policy=Policy(egress=(f"127.0.0.1:{server.server_port}",)))
    assert len(server.taken) == 1


def test_a_redirect_is_not_followed_where_the_policy_allows_it_either():
    with receiver() as other, receiver(status=307) as server:
        server.location = f"http://127.0.0.1:{other.server_port}/"
        with pytest.raises((AlertRefused, DestinationUnavailable)):
            ProcessSender().send(f"json://127.0.0.1:{server.server_port}/hook", ALERT, policy=LOOPBACK)
    assert (len(server.taken), other.taken) == (1, [])


def test_a_receiver_that_refuses_is_told_apart_from_one_that_is_not_there():
    with receiver(status=403) as server, pytest.raises(AlertRefused, match="does not take the alert"):
        ProcessSender().send(f"json://127.0.0.1:{server.server_port}/", ALERT, policy=LOOPBACK)
    with pytest.raises(DestinationUnavailable, match="cannot be reached"):
        ProcessSender().send(f"json://127.0.0.1:{free_port()}/", ALERT, policy=LOOPBACK)


def test_a_url_that_is_not_understood_is_said_without_its_secrets():
    with pytest.raises(AlertRefused, match=r"slak:// is no service that is known; did you mean slack://\?") as caught:
        ProcessSender().send("slak://token-of-ours", ALERT, policy=LOOPBACK)
    assert "token-of-ours" not in str(caught.value)


def test_a_url_reads_no_file_of_the_machine(tmp_path):
    template = tmp_path / "template.json"
    template.write_text('{"type": "message", "attachments": []}')
    with receiver() as server:
        # the service of workflows reads a template from wherever the URL says
        url = f"workflows://127.0.0.1:{server.server_port}/workflow/signature/?template={template}&verify=no"
        with pytest.raises((EgressRefused, AlertRefused), match="a file of this machine"):
            ProcessSender().send(url, ALERT, policy=LOOPBACK)
    assert server.taken == []


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
