"""Addresses, protocols and object names, as the rest of the model spells them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NewType

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network
NodeName = NewType("NodeName", str)


class Protocol(StrEnum):
    """
    Transport protocols of the Kubernetes API, spelled as the API spells them.

    Source: k8s.io/api/core/v1 Protocol.
    """

    TCP = "TCP"
    UDP = "UDP"
    SCTP = "SCTP"

    @property
    def number(self) -> int:
        """IANA protocol number, as it stands in the IP header."""
        return _NUMBERS[self]


_NUMBERS = {Protocol.TCP: 6, Protocol.UDP: 17, Protocol.SCTP: 132}


class Family(IntEnum):
    """Address family, by IP version."""

    V4 = 4
    V6 = 6


@dataclass(frozen=True, slots=True, order=True)
class ObjectRef:
    """Name of one API object: `Service shop/web`, `Node n1` (no namespace)."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """`Kind namespace/name`, or `Kind name` for cluster-wide kinds."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True, order=True)
class Remark:
    """What people should know of one field of an object."""

    ref: ObjectRef
    field: str
    """Path of the field in the object, as `kubectl explain` spells it: `spec.ports[0].port`."""
    reason: str
    """One line for people."""

    def __str__(self) -> str:
        """One line: object, field, reason."""
        return f"{self.ref}: {self.field}: {self.reason}"


@dataclass(frozen=True, slots=True, order=True)
class Rejected(Remark):
    """
    An object, or one field of it, that cannot be used: it harms only itself.

    The reason says what is wrong, and what would be right.
    """


@dataclass(frozen=True, slots=True, order=True)
class NotServed(Remark):
    """
    A field of a good object that asks for what twinway does not do (yet); the rest of the object is served.

    The reason says what is asked, and what happens instead.
    """
