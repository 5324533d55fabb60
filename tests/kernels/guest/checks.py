"""The checks of the smoke test: probes in the lab with their expected answers, and traffic on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# Emulated kernels answer slowly. A probe that is dropped waits for its whole timeout.
PATIENCE, SILENCE = 20.0, 4.0
FAMILIES = (4, 6)
ADDRESSES = {
    "client": ("10.244.1.10", "fd00:244:1::10"),
    "stranger": ("10.244.1.11", "fd00:244:1::11"),
    "near": ("10.244.1.20", "fd00:244:1::20"),
    "shut": ("10.244.1.21", "fd00:244:1::21"),
    "far": ("10.244.2.20", "fd00:244:2::20"),
    "node": ("192.168.64.11", "fd00:64::11"),
    "near-service": ("10.96.0.20", "fd00:96::20"),
    "far-service": ("10.96.0.30", "fd00:96::30"),
    "nobody-service": ("10.96.0.40", "fd00:96::40"),
    "host-service": ("10.96.0.50", "fd00:96::50"),
}


def address(name: str, family: int) -> str:
    """The address of a party in a family, as in smoke.yaml."""
    return ADDRESSES[name][family == 6]


@dataclass(frozen=True)
class Check:
    """One probe and its expected answer: the `backend` of a connection, or another outcome."""

    name: str
    client: str
    target: str
    port: int
    backend: str | None = None
    outcome: str = "connected"
    protocol: str = "tcp"

    def query(self, family: int) -> dict[str, object]:
        """The probe as a line of the lab's batch."""
        host = address(self.target, family)
        host = f"[{host}]" if family == 6 else host
        timeout = SILENCE if self.outcome == "dropped" else PATIENCE
        return {"from": self.client, "to": f"{host}:{self.port}", "protocol": self.protocol, "timeout": timeout}

    def fault(self, family: int, answer: Mapping[str, object]) -> str | None:
        """The difference to the expected answer, or None."""
        due: dict[str, object] = {"outcome": self.outcome, "backend": self.backend}
        if self.client == "smoke/client" and self.backend:
            due["observed_source"] = address("client", family)
        came = {key: answer[key] for key in due}
        return None if came == due else f"expected {due}, got {came}"


CHECKS = (
    Check("TCP to a Service on the same node", "smoke/client", "near-service", 8080, "smoke/near"),
    Check("UDP to a Service on the same node", "smoke/client", "near-service", 5353, "smoke/near", protocol="udp"),
    Check("TCP to a Service on another node", "smoke/client", "far-service", 8080, "smoke/far"),
    Check("UDP to a Service on another node", "smoke/client", "far-service", 5353, "smoke/far", protocol="udp"),
    Check("TCP to a Service that is the node itself", "smoke/client", "host-service", 8080, "smoke/host"),
    Check(
        "UDP to a Service that is the node itself",
        "smoke/client",
        "host-service",
        5353,
        "smoke/host",
        protocol="udp",
    ),
    Check("a Service that leads back to its client", "smoke/near", "near-service", 8080, "smoke/near"),
    Check("the node itself to a Service", "node/n1", "far-service", 8080, "smoke/far"),
    Check("a Service without endpoints", "smoke/client", "nobody-service", 8080, outcome="rejected"),
    Check("a pod beside the client, without a Service", "smoke/stranger", "near", 80, "smoke/near"),
    Check("policy: allowed", "smoke/client", "near", 81, "smoke/near"),
    Check("policy: denied", "smoke/stranger", "near", 81, outcome="dropped"),
    Check("policy: allowed through a Service", "smoke/client", "near-service", 8181, "smoke/near"),
    Check(
        "policy: denied a pod that reaches itself through a Service",
        "smoke/near",
        "near-service",
        8181,
        outcome="dropped",
    ),
    Check("policy: the node to its own pod", "node/n1", "near", 81, "smoke/near"),
    Check("policy: a pod that lets in nobody", "smoke/client", "shut", 80, outcome="dropped"),
    Check("policy: the node to its own pod that lets in nobody", "node/n1", "shut", 80, "smoke/shut"),
)


@dataclass(frozen=True)
class Wire:
    """Whether packets between two parties appear on the wire of the pods' parent."""

    name: str
    one: str
    others: tuple[str, ...]
    shown: bool = False

    def fault(self, family: int, seen: Mapping[str, int]) -> str | None:
        """The difference to the expected traffic, or None. `seen` has packets by pair, as wire.py prints them."""
        pairs = [" ".join(sorted((address(self.one, family), address(other, family)))) for other in self.others]
        counts = {pair: seen[pair] for pair in pairs if pair in seen}
        if self.shown:
            return None if counts else f"nothing was seen between {' or '.join(pairs)}"
        return f"saw {counts}" if counts else None


SHARED_PARENT = ("ipvlan", "macvlan")
"""Devices whose pods share a parent. Only they have such a wire."""
WIRE = (
    Wire("wire: nothing of a connection to a Service on the same parent", "client", ("near", "near-service")),
    Wire("wire: nothing of a connection between pods of the same parent", "stranger", ("near",)),
    Wire("wire: nothing of a connection to the node itself", "client", ("node", "host-service")),
    Wire("wire: the connection to another node", "client", ("far",), shown=True),
)
