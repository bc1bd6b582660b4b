"""Entries of an egress policy: how they are written, and what they list. Pure; `access.egress` does the connecting."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from penstock.core.access import Policy

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

HOST_NAME: Final = re.compile(
    r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
)
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
