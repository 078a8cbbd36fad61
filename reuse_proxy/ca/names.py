"""Hosts as certificates spell them: a leaf's name, one of a CA's constraints; pure.

A ValueError says what is wrong, as the end of a sentence that its catcher begins.
"""

import re
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final

from cryptography import x509

Host = str | IPv4Address | IPv6Address
Permit = str | IPv4Network | IPv6Network

_MAX_NAME: Final = 253  # RFC 1035 section 2.3.4: 255 bytes on the wire
_MAX_LABEL: Final = 63
# The underscore is in no host name (RFC 952), and in many that are in use.
_LABEL: Final = re.compile(r"[A-Za-z0-9_-]+")


def parse_host(text: str) -> Host:
    """Read a host that a leaf may name; a ValueError says why it may not."""
    try:
        address = ip_address(text)
    except ValueError:
        return _checked_name(text)
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise ValueError("an address with a zone means another machine everywhere")
    return address


def parse_permit(text: str) -> Permit:
    """Read one constraint, a name or a network; a ValueError says what is wrong."""
    try:
        return ip_network(text)
    except ValueError:
        if "/" in text:
            raise ValueError("this is no network, such as 10.0.0.0/8") from None
    return _checked_name(text)


def alternative_name(host: Host) -> x509.GeneralName:
    """Return what stands for a host in subjectAltName."""
    return x509.DNSName(host) if isinstance(host, str) else x509.IPAddress(host)


def _checked_name(text: str) -> str:
    if not text.isascii():
        raise ValueError("it is not ASCII; spell it in its xn-- form")
    if "*" in text:
        raise ValueError("a wildcard stands for hosts that nobody has asked for")
    if len(text) > _MAX_NAME:
        raise ValueError(f"a name has at most {_MAX_NAME} characters")
    labels = text.split(".")
    for label in labels:
        _check_label(label)
    # No top-level domain is numeric (RFC 3696 section 2): this is meant as IPv4.
    if labels[-1].isdecimal():
        raise ValueError("it is a wrong IP address")
    return text.lower()


def _check_label(label: str) -> None:
    if not label:
        raise ValueError("a part between its dots is empty")
    if len(label) > _MAX_LABEL:
        raise ValueError(f"a part between its dots is over {_MAX_LABEL} characters")
    if not _LABEL.fullmatch(label):
        raise ValueError("a name has only letters, digits, '-', '_' and dots")
