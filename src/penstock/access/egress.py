"""The way out: which addresses a workspace's work may reach, and a POST that reaches the one that was checked.

A name is resolved once, every address it has is judged, and the connection goes to one of those: a name that resolves
to something else a moment later (DNS rebinding) gains nothing. Redirects are not followed, and proxies of the
environment are not used, for both would connect to what nobody has checked.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal, cast

from penstock.base.lazily import Lazily
from penstock.core import limits
from penstock.core.access import Destination, Policy
from penstock.core.egress import Address, as_address, lists_address, lists_host, split_url
from penstock.core.errors import DestinationUnavailable, EgressRefused

if TYPE_CHECKING:
    import httpx
else:
    httpx = Lazily("httpx")

Resolver = Callable[[str, int], Sequence[str]]  # a host and a port; its addresses

_PUBLIC_IPV6: Final = ipaddress.IPv6Network("2000::/3")
_CARRYING_IPV4: Final = [  # reach an IPv4 address that is written inside
    ipaddress.IPv6Network("2002::/16"),  # 6to4
    ipaddress.IPv6Network("2001::/32"),  # Teredo
]
_NOT_PUBLIC: Final = [
    ipaddress.IPv4Network("100.64.0.0/10"),  # shared by carriers; a metadata service lives here
    ipaddress.IPv4Network("168.63.129.16/32"),  # a metadata service on an address that looks public
    ipaddress.IPv4Network("192.88.99.0/24"),  # relays of 6to4
]
_LISTED: Final = "An operator can list it on the server's machine: penstock workspaces set NAME --egress HOST"


class HttpEgress:
    """Egress by HTTP.

    Args:
        resolve: gives the addresses of a host; the system's resolver.
    """

    def __init__(self, resolve: Resolver | None = None) -> None:
        self._resolve = resolve or _resolve

    def check(self, url: str, *, policy: Policy) -> Destination:
        """Return where a URL leads, its name resolved now, when it may be reached.

        Raises:
            EgressRefused: when it may not.
            DestinationUnavailable: when its name cannot be resolved now.
        """
        parts, host, port = split_url(url)
        addresses = [_unwrapped(address) for address in self._addresses(host, port)]
        if not addresses:
            raise DestinationUnavailable(f"{host} has no address now", hint="Look at the name; it is tried again.")
        host_listed = lists_host(policy, host, port)
        for address in addresses:
            listed = host_listed or lists_address(policy, address)
            if parts.scheme == "http" and not listed:
                raise EgressRefused(f"{host} is to be reached without TLS", hint=f"Use https. {_LISTED}")
            if not listed and not is_public(address):
                raise EgressRefused(f"{host} leads to {address}, which is not a public address", hint=_LISTED)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        scheme = cast("Literal['http', 'https']", parts.scheme)
        return Destination(scheme, host, port, target, tuple(dict.fromkeys(str(address) for address in addresses)))

    def post(
        self, url: str, body: bytes, *, headers: Mapping[str, str], policy: Policy, timeout_s: float | None = None
    ) -> int:
        """Send a POST to the address that was checked, and return the status; redirects are not followed.

        Raises:
            EgressRefused: when it may not be reached.
            DestinationUnavailable: when it cannot be reached, or does not answer in time.
        """
        destination = self.check(url, policy=policy)
        bound_s = min(timeout_s or limits.EGRESS_WAIT.value, limits.EGRESS_WAIT.value)
        return asyncio.run(_post_first(destination, body, headers, timeout_s=bound_s))

    def _addresses(self, host: str, port: int) -> Sequence[Address]:
        literal = as_address(host)
        if literal is not None:
            return [literal]
        try:
            return [ipaddress.ip_address(address) for address in self._resolve(host, port)]
        except OSError as error:
            raise DestinationUnavailable(
                f"the name {host} cannot be resolved now", hint="Look at the name; it is tried again."
            ) from error


def is_public(address: Address) -> bool:
    """Return whether an address belongs to the internet at large."""
    if isinstance(address, ipaddress.IPv6Address):
        if address not in _PUBLIC_IPV6 or any(address in network for network in _CARRYING_IPV4):
            return False
    elif any(address in network for network in _NOT_PUBLIC):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _unwrapped(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one stands for, else itself."""
    return getattr(address, "ipv4_mapped", None) or address


def _resolve(host: str, port: int) -> Sequence[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


@functools.cache
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context()  # some 20 ms; SSL_CERT_FILE names other roots


async def _post_first(destination: Destination, body: bytes, headers: Mapping[str, str], *, timeout_s: float) -> int:
    """Send to the first address that accepts a connection; the bound is for all of it, dripping receivers included."""
    hint = "Look at the receiver; it is tried again."
    try:
        async with asyncio.timeout(timeout_s):
            for address in destination.addresses:
                try:
                    return await _post(destination, address, body, headers)
                except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                    last = error
            raise DestinationUnavailable(f"{destination.host} refuses connections: {last}", hint=hint)
    except TimeoutError:
        raise DestinationUnavailable(f"{destination.host} did not answer within {timeout_s:g} s", hint=hint) from None
    except httpx.HTTPError as error:
        raise DestinationUnavailable(
            f"{destination.host} broke the exchange off ({type(error).__name__})", hint=hint
        ) from error


async def _post(destination: Destination, address: str, body: bytes, headers: Mapping[str, str]) -> int:
    host = f"[{destination.host}]" if ":" in destination.host else destination.host
    default = destination.port == (443 if destination.scheme == "https" else 80)
    place = f"[{address}]" if ":" in address else address
    async with (
        httpx.AsyncClient(verify=_tls(), trust_env=False, follow_redirects=False, timeout=None) as client,
        client.stream(
            "POST",
            f"{destination.scheme}://{place}:{destination.port}{destination.target}",
            content=body,
            headers={**headers, "Host": host if default else f"{host}:{destination.port}"},
            extensions={"sni_hostname": destination.host},  # the certificate must be the name's, not the address's
        ) as answer,
    ):
        return answer.status_code  # the body is not read: nobody looks at it
