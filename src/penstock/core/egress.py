"""URLs and entries of an egress policy: how they are written, and what is listed. Pure; `access.egress` connects."""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from penstock.core.access import Policy
from penstock.core.errors import EgressRefused

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

HOST_NAME: Final = re.compile(
    r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
)
_URL_MAX: Final = 2_048
_ODD: Final = re.compile(r"[\x00-\x20\x7f-\U0010ffff\\]")
_NUMBER: Final = re.compile(r"0x[0-9a-f]*|[0-9]+")


def as_address(host: str) -> Address | None:
    """Return the address that a host is, written as usual; None for a name."""
    try:
        return ipaddress.ip_address(host) if "%" not in host else None
    except ValueError:
        return None


def is_host(host: str) -> bool:
    """Return whether a host is a name or an address, and every parser reads it so.

    `2130706433`, `0x7f.1` and `127.1` are addresses to some parsers and names to others, so they are neither here.
    """
    if as_address(host) is not None:
        return True
    return HOST_NAME.fullmatch(host) is not None and _NUMBER.fullmatch(host.rpartition(".")[2]) is None


def entry_problem(entry: str) -> str | None:
    """Return what is wrong with an entry of an egress policy, None when nothing is."""
    if "/" in entry:
        try:
            ipaddress.ip_network(entry)
        except ValueError as error:
            return str(error)
        return None
    host, port = split_entry(entry)
    if port is not None and not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        return f"{port[:20]!r} is not a port"
    return None if is_host(host) else f"{host[:100]!r} is neither a host, nor a host with a port, nor a network"


def split_entry(entry: str) -> tuple[str, str | None]:
    """Return the host of an entry, and its port when it has one; `[::1]:8080` has, `::1` has not."""
    if as_address(entry) is not None:
        return entry, None
    host, colon, port = entry.rpartition(":")
    return (host.removeprefix("[").removesuffix("]"), port) if colon else (entry, None)


def lists_host(policy: Policy, host: str, port: int) -> bool:
    """Return whether a policy lists a host by its name or address, for a port."""
    return any(split_entry(entry) in ((host, None), (host, str(port))) for entry in policy.egress)


def lists_address(policy: Policy, address: Address) -> bool:
    """Return whether an address lies in a network that a policy lists."""
    return any(address in ipaddress.ip_network(entry) for entry in policy.egress if "/" in entry)


def split_url(url: str) -> tuple[SplitResult, str, int]:
    """Return a URL's parts, its host and its port; whatever two parsers could read differently is refused.

    Raises:
        EgressRefused: when nothing could ever be sent there, whatever a policy lists.
    """
    valid = "Valid: https://host/path"
    if len(url) > _URL_MAX or _ODD.search(url):
        raise EgressRefused(
            f"the URL has {len(url)} characters, or some that are not printable ASCII", hint=f"{valid}, escaped."
        )
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").rstrip(".")
    except ValueError as error:
        raise EgressRefused(f"the URL cannot be read: {error}", hint=valid) from None
    if parts.scheme not in ("https", "http"):
        raise EgressRefused(f"the URL's scheme is {parts.scheme[:20]!r}; only https and http are possible", hint=valid)
    if "@" in parts.netloc:
        raise EgressRefused("the URL names a user before its host", hint="Send what proves who you are as a header.")
    if port == 0 or not is_host(host):
        raise EgressRefused(
            f"{host[:100]!r} is neither a host name nor an address as it is usually written", hint=valid
        )
    return parts, host, port or (443 if parts.scheme == "https" else 80)
