"""A process that sends one alert and ends: what to send comes on standard input, what became of it goes out.

`apprise` opens connections, and for some services files, wherever a URL tells it to. Here it finds only addresses that
the workspace's policy allows, each judged when its name is resolved, and only the files of its own libraries; redirects
are not followed. It is our own process, so that nothing else has to do without the rest.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import logging
import os
import socket
import sys
from collections.abc import Sequence
from typing import Any, Final

from penstock.access.egress import is_public
from penstock.core.access import Policy
from penstock.core.egress import as_address, lists_address, lists_host

_PROGRAMS: Final = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "pty.spawn")
_WRITING: Final = frozenset("wax+")
_WORDS_MAX: Final = 300


class Refused(OSError):
    """What a URL asks for and may not have."""


class Guard:
    """Lets a process reach what a policy allows, and nothing else.

    Args:
        policy: of the workspace.
        encrypted: whether what is sent is encrypted; else only what the policy lists is reached.
    """

    def __init__(self, policy: Policy, *, encrypted: bool) -> None:
        self._policy = policy
        self._encrypted = encrypted
        self._allowed: set[tuple[str, int]] = set()
        self._resolve = socket.getaddrinfo
        self._readable = tuple(
            os.path.realpath(path) + os.sep
            for path in (*sys.path, sys.prefix, sys.base_prefix, "/usr/share/zoneinfo", "/etc/ssl")
            if path
        )
        self.refusals: list[str] = []
        self.reached = False

    def put_on(self) -> None:
        """Begin, for good."""
        socket.getaddrinfo = self._judged
        sys.addaudithook(self._watch)

    def _judged(self, host: Any, port: Any, *more: Any, **named: Any) -> Any:
        name = (host.decode() if isinstance(host, bytes) else str(host)).rstrip(".").lower()
        found = self._resolve(host, port, *more, **named)
        for entry in found:
            address, number = str(entry[4][0]), int(entry[4][1])
            self._judge(name, address, number)
            self._allowed.add((address, number))
        return found

    def _judge(self, host: str, text: str, port: int) -> None:
        address = as_address(text.partition("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        if address is None:
            raise self._refusal(f"{host} is no host")
        if lists_host(self._policy, host, port) or lists_address(self._policy, address):
            return
        if not is_public(address):
            raise self._refusal(f"{host} leads to {address}, which is not a public address")
        if not self._encrypted:
            raise self._refusal(f"{host} is to be reached without TLS")

    def _watch(self, event: str, given: tuple[Any, ...]) -> None:
        if event in ("socket.connect", "socket.sendto"):
            place = given[1]
            if not isinstance(place, tuple) or tuple(place[:2]) not in self._allowed:
                if isinstance(place, tuple) and _is_address(place[0]):
                    self._judge(str(place[0]), str(place[0]), int(place[1]))
                else:
                    raise self._refusal("a socket that is no connection to a host")
        elif event in ("http.client.send", "smtplib.send"):
            self.reached = True
        elif event in _PROGRAMS:
            raise self._refusal("starting a program")
        elif event == "open":
            self._judge_file(*given[:2])

    def _judge_file(self, path: Any, mode: Any) -> None:
        if isinstance(path, int):
            return
        writes = isinstance(mode, str) and bool(_WRITING & set(mode))
        if writes or not (os.path.realpath(os.fsdecode(path)) + os.sep).startswith(self._readable):
            raise self._refusal("a file of this machine")

    def _refusal(self, words: str) -> Refused:
        self.refusals.append(words)
        return Refused(words)


def main() -> None:
    """Send what standard input says, and say what became of it."""
    asked = json.load(sys.stdin)
    said = send(asked["url"], asked["subject"], asked["text"], egress=asked["egress"])
    sys.stdout.write(json.dumps(said))


def send(url: str, subject: str, text: str, *, egress: Sequence[str]) -> dict[str, str]:
    """Return what became of an alert: `sent`, `unknown`, `forbidden`, `unreachable` or `refused`, with words."""
    import apprise  # a third of a second, and only this process needs it
    import requests

    words = _Words()
    logging.getLogger("apprise").addHandler(words)
    logging.getLogger("apprise").setLevel(logging.WARNING)
    vars(requests.sessions)["DEFAULT_REDIRECT_LIMIT"] = 0  # an alert and what proves who sends it go nowhere else
    asset = apprise.AppriseAsset(app_id="Penstock", app_desc="Penstock", app_url="", async_mode=False)
    target = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    if target is None:
        return {"end": "unknown", "words": _unknown(url)}
    scheme = url.partition("://")[0].lower()
    guard = Guard(Policy(egress=tuple(egress)), encrypted=target.secure or scheme not in _names(target.protocol))
    guard.put_on()
    sent = bool(target.notify(body=text, title=subject, body_format=apprise.NotifyFormat.TEXT))
    if sent:
        return {"end": "sent", "words": ""}
    if guard.refusals:
        return {"end": "forbidden", "words": guard.refusals[0]}
    return {"end": "refused" if guard.reached else "unreachable", "words": words.last[:_WORDS_MAX]}


class _Words(logging.Handler):
    """Keeps the last thing that apprise has to say."""

    last = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage()


def _unknown(url: str) -> str:
    """Return what is wrong with a URL that apprise cannot read, without what stands in it."""
    import apprise  # loaded already

    scheme = url.partition("://")[0].lower()[:40]
    known = {name for plugin in apprise.Apprise().details()["schemas"] for name in _names_of(plugin)}
    if scheme in known:
        return f"the URL begins with {scheme}://, and what follows is not as that service needs it"
    close = difflib.get_close_matches(scheme, sorted(known), n=1)
    return f"{scheme}:// is no service that is known" + (f"; did you mean {close[0]}://?" if close else "")


def _names_of(plugin: dict[str, Any]) -> set[str]:
    return _names(plugin.get("protocols")) | _names(plugin.get("secure_protocols"))


def _names(given: Any) -> set[str]:
    return {given} if isinstance(given, str) else set(given or ())


def _is_address(text: Any) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


if __name__ == "__main__":
    main()
