"""Texts of the Kubernetes API, checked as the API server checks them: names, labels, addresses."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_network
from socket import AF_INET, AF_INET6, inet_pton

from twinway.model.net import IPAddress, IPNetwork, Protocol

LABEL_LIMIT = 63
NAME_LIMIT = 253

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_DNS_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL_TEXT = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_LABEL_RULE = "letters, digits, '-', '_' and '.', a letter or digit at both ends"
_PORT_NAME = re.compile(r"(?=[a-z0-9-]*[a-z])[a-z0-9]+(-[a-z0-9]+)*")


def dns_label(text: str) -> str:
    """`text`, if it is a DNS label as namespaces and ports are named. Source: RFC 1123."""
    return _named(
        text, _DNS_LABEL, LABEL_LIMIT, "lower case letters, digits and '-', a letter or digit at both ends"
    )


def dns_name(text: str) -> str:
    """`text`, if it is a DNS name as most objects have. Source: RFC 1123 subdomain."""
    return _named(
        text, _DNS_NAME, NAME_LIMIT, "lower case letters, digits, '-' and '.', a letter or digit at both ends"
    )


def port_name(text: str) -> str:
    """`text`, if a port may be called so. Source: RFC 6335 service names."""
    return _named(text, _PORT_NAME, 15, "lower case letters, digits and single '-', at least one letter")


@lru_cache(maxsize=4096)
def label_key(text: str) -> str:
    """`text`, if it is a label key: a name, with or without `DNS.NAME/` before it."""
    prefix, slash, name = text.rpartition("/")
    if slash:
        dns_name(prefix)
    _named(name, _LABEL_TEXT, LABEL_LIMIT, _LABEL_RULE)
    return text


@lru_cache(maxsize=4096)
def label_value(text: str) -> str:
    """`text`, if it is a label value; it may be empty."""
    if not text:
        return text
    return _named(text, _LABEL_TEXT, LABEL_LIMIT, _LABEL_RULE)


def protocol(text: str) -> Protocol:
    """The protocol that the API spells so."""
    try:
        return Protocol(text)
    except ValueError:
        raise ValueError(f"must be TCP, UDP or SCTP, not {text!r}") from None


def address(text: str) -> IPAddress:
    """
    The address that `text` writes.

    An IPv4-mapped IPv6 address is refused: in every table it would be the IPv4 address itself.
    """
    try:
        return IPv4Address(inet_pton(AF_INET, text))
    except (OSError, ValueError):
        pass
    try:
        found = IPv6Address(inet_pton(AF_INET6, text))
    except (OSError, ValueError):
        raise ValueError(f"must be an IPv4 or IPv6 address, not {text!r}") from None
    if found.ipv4_mapped is not None:
        raise ValueError(f"must be written as {found.ipv4_mapped}, not {text!r}")
    return found


def prefix(text: str) -> IPNetwork:
    """The address block that `text` writes; bits after the prefix are ignored, as the API server does."""
    base, slash, bits = text.partition("/")
    if not slash or not bits.isascii() or not bits.isdigit():
        raise ValueError(f"must be an address block such as 10.0.0.0/8, not {text!r}")
    try:
        return ip_network(f"{address(base)}/{bits}", strict=False)
    except ValueError:
        raise ValueError(f"must be an address block such as 10.0.0.0/8, not {text!r}") from None


def _named(text: str, pattern: re.Pattern[str], limit: int, rule: str) -> str:
    if len(text) > limit:
        raise ValueError(f"must have {limit} characters at most, not {len(text)}")
    if pattern.fullmatch(text) is None:
        raise ValueError(f"must be {rule}, not {text!r}")
    return text
