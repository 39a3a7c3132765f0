"""Which addresses the server may call, where somebody else chose the address. Pure: nothing is resolved or opened here.

A name is checked by what it resolves to, each time, and the connection goes to the very address that was checked. Public
addresses are fine; this machine, private networks and whatever stands for them are refused, unless the operator names
their network.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Iterable
    from ipaddress import IPv4Network

    Address = IPv4Address | IPv6Address
    Networks = tuple[IPv4Network | IPv6Network, ...]

LOOPBACK: Final = ("127.0.0.0/8", "::1/128")
_LONGEST: Final = 2048
_PRINTABLE: Final = re.compile(r"[!-~]+", re.ASCII)
_NUMBER: Final = re.compile(r"(0x[0-9a-f]*|[0-9]+)\.?", re.ASCII | re.IGNORECASE)
_ORDINARY: Final = IPv6Network("2000::/3")
_TUNNELS: Final = (IPv6Network("2001::/32"), IPv6Network("2002::/16"))
"""Teredo and 6to4: addresses of version 4, in other clothes."""


class Target(msgspec.Struct, frozen=True):
    """A URL taken apart. path: with its query."""

    secure: bool
    host: str
    port: int
    path: str

    @property
    def literal(self) -> Address | None:
        """The address, where the host is one and not a name."""
        return _address(self.host)


def read_url(url: str) -> Target:
    """Take a URL apart. Raises `Invalid`, whose text never shows it: such URLs often hold a key."""
    if len(url) > _LONGEST or not _PRINTABLE.fullmatch(url):
        raise _unfit(f"a URL is printable ASCII, of at most {_LONGEST} characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _unfit("host or port cannot be read") from None
    host = (parts.hostname or "").rstrip(".")
    if not host or "%" in host or parts.username is not None or parts.fragment or port == 0:
        raise _unfit("write it as https://host/path, without user, password and fragment")
    if _address(host) is None and _NUMBER.fullmatch(host.rpartition(".")[2]):
        raise _unfit("write a numeric address in its usual form")
    target = Target(
        parts.scheme == "https",
        host,
        port or (443 if parts.scheme == "https" else 80),
        (parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
    )
    if not target.secure and (parts.scheme != "http" or not _is_this_machine(target)):
        raise _unfit("it begins with https://; http:// is for this machine alone")
    return target


def read_networks(texts: Iterable[str]) -> Networks:
    """Networks as an operator writes them: 10.0.0.0/8. Raises `Invalid` for what is none."""
    try:
        return tuple(ip_network(text) for text in texts)
    except ValueError:
        raise Invalid("a network is written like 10.0.0.0/8 or fd00::/8") from None


def allows(address: Address, networks: Networks) -> bool:
    """The server may call that address."""
    if isinstance(address, IPv6Address):
        address = IPv6Address(int(address))  # without its scope
        if address.ipv4_mapped is not None:
            address = address.ipv4_mapped
    return any(address in network for network in networks) or _is_public(address)


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and (
        address not in _ORDINARY or any(address in tunnel for tunnel in _TUNNELS)
    ):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _is_this_machine(target: Target) -> bool:
    literal = target.literal
    return target.host == "localhost" if literal is None else literal.is_loopback


def _address(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _unfit(hint: str) -> Invalid:
    return Invalid("the URL cannot be called", hint=hint)
