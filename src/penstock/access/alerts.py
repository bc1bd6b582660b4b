"""Sending alerts: each in a process of its own, which may reach what the workspace's policy allows."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Final

import orjson

from penstock.core import limits
from penstock.core.access import Policy
from penstock.core.alerts import Alert
from penstock.core.errors import AlertRefused, DestinationUnavailable, EgressRefused

_PROGRAM: Final = "penstock.access.alert_process"
_KEPT: Final = ("PATH", "PYTHONPATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "LANG")  # of the environment; proxies are not


class ProcessSender:
    """The AlertSender of a server, and of a laptop."""

    def send(self, url: str, alert: Alert, *, policy: Policy) -> None:
        """Send an alert.

        Raises:
            AlertRefused: when the URL is not understood, or the receiver refuses it.
            EgressRefused: when it may not be reached.
            DestinationUnavailable: when it cannot be reached now.
        """
        asked = {"url": url, "subject": alert.subject, "text": alert.text, "egress": list(policy.egress)}
        try:
            done = subprocess.run(
                [sys.executable, "-B", "-P", "-m", _PROGRAM],
                input=orjson.dumps(asked),
                capture_output=True,
                timeout=limits.ALERT_WAIT.value,
                check=False,
                env={name: value for name, value in os.environ.items() if name in _KEPT},
            )
        except subprocess.TimeoutExpired:
            raise DestinationUnavailable(
                f"the receiver of an alert did not take it within {limits.ALERT_WAIT.value} s",
                hint="Look at the receiver; it is tried again.",
            ) from None
        try:
            said = orjson.loads(done.stdout)
        except ValueError:
            last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2].partition(":")[0]
            raise DestinationUnavailable(
                f"an alert could not be sent ({last or f'exit code {done.returncode}'})", hint="It is tried again."
            ) from None
        _judge(said["end"], said["words"])


def _judge(end: str, words: str) -> None:
    if end == "unknown":
        hint = "Write the URL as https://github.com/caronc/apprise/wiki has it; then: penstock alerts test NAME"
        raise AlertRefused(words, hint=hint)
    if end == "forbidden":
        hint = "An operator can list it on the server's machine: penstock workspaces set NAME --egress HOST"
        raise EgressRefused(f"the alert would reach what it may not: {words}", hint=hint)
    if end == "refused":
        hint = "Look at what the URL holds, such as a token, and at the receiver."
        raise AlertRefused(f"the receiver does not take the alert: {words}", hint=hint)
    if end == "unreachable":
        raise DestinationUnavailable(
            f"the receiver of an alert cannot be reached: {words}", hint="Look at the receiver; it is tried again."
        )
