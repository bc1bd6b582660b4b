"""Webhooks as they are asked for: looked at when a job is submitted, so that nobody waits for a message in vain.

The sender looks again at each message, for names and policies change. What cannot be known now, such as where a name
leads while the resolver is silent, keeps no job from being accepted.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as LookTimeout
from dataclasses import dataclass, field
from typing import Final

from penstock.core import limits
from penstock.core.access import Policy, WorkspaceId
from penstock.core.errors import EgressRefused, TransientError
from penstock.core.jobs import Webhook
from penstock.core.ports import Database
from penstock.core.ports.access import Egress, SecretRecords, WorkspaceRecords

_LOOK_S: Final = 1.0  # a resolver that takes longer is not waited for; the sender will find out
_LOOKS_MAX: Final = 16  # threads that wait for resolvers at once
_KEPT_S: Final = 10.0
_KEPT_MAX: Final = 1_000
_NAMES_SHOWN: Final = 5

Problem = dict[str, str]


@dataclass(frozen=True, slots=True)
class WebhookChecks:
    """Whether a webhook could be sent."""

    database: Database
    workspaces: WorkspaceRecords
    secrets: SecretRecords
    egress: Egress
    _looks: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(_LOOKS_MAX))
    _kept: dict[tuple[str, Policy], tuple[float, str | None]] = field(default_factory=dict)

    def problems(self, webhook: Webhook, workspace: WorkspaceId) -> list[Problem]:
        """Return what is wrong with a webhook, each with its place: nothing when it can be sent."""
        with self.database.read() as tx:
            policy = self.workspaces.get(tx, workspace).policy
            names = [secret.name for secret in self.secrets.names(tx, workspace=workspace, limit=limits.SECRETS.value)]
        found = []
        if refused := self._refused(webhook.url, policy):
            listed = ", ".join(policy.egress) or "nothing"
            message = f"{refused}; the workspace's egress policy lists {listed}"
            found.append({"place": "options.webhook.url", "message": message})
        if webhook.secret not in names:
            found.append({"place": "options.webhook.secret", "message": _unknown_secret(webhook.secret, names)})
        return found

    def _refused(self, url: str, policy: Policy) -> str | None:
        """Return why a URL may not be reached, as it was found within the last seconds; None when it may."""
        now_s, place = time.monotonic(), (url, policy)
        known = self._kept.get(place)
        if known is not None and now_s - known[0] < _KEPT_S:
            return known[1]
        if len(self._kept) >= _KEPT_MAX:
            self._kept.clear()
        refused = self._look(url, policy)
        self._kept[place] = now_s, refused
        return refused

    def _look(self, url: str, policy: Policy) -> str | None:
        if not self._looks.acquire(blocking=False):
            return None
        found: Future[str | None] = Future()

        def look() -> None:
            try:
                self.egress.check(url, policy=policy)
            except EgressRefused as error:
                found.set_result(error.message)
            except BaseException as error:  # noqa: BLE001  # whoever waits raises it
                found.set_exception(error)
            else:
                found.set_result(None)
            finally:
                self._looks.release()

        threading.Thread(target=look, name="webhook-look", daemon=True).start()
        try:
            return found.result(_LOOK_S)
        except (TransientError, LookTimeout):
            return None


def _unknown_secret(name: str, names: list[str]) -> str:
    if not names:
        return f"the workspace has no secret {name!r}, nor any other; make it with: penstock secrets put {name}"
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return f"the workspace has no secret {name!r}; it has {', '.join(names[:_NAMES_SHOWN])}{more}"
