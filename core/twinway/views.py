"""What the agent shows of the state in force and of the kernel's tables: plain values for JSON."""

from __future__ import annotations

from typing import Any

from twinway.driver import Inspection, KernelFrontend
from twinway.model.node import Frontend, NodeState

Key = tuple[str, int, str, int]


def services_view(state: NodeState | None, kernel: Inspection) -> dict[str, Any]:
    """
    `{"services": [...]}`, sorted by name: each frontend with its backends, as computed.

    `programmed` says whether the kernel leads to the very same backends.
    """
    found = {_kernel_key(frontend): frontend for frontend in kernel.frontends}
    services = sorted(state.services.items()) if state else []
    return {
        "services": [
            {
                "service": f"{ref.namespace}/{ref.name}",
                "frontends": [_frontend(frontend, found) for frontend in service.frontends],
            }
            for ref, service in services
        ]
    }


def endpoints_view(state: NodeState | None) -> dict[str, Any]:
    """`{"endpoints": [...]}`, sorted by name: this node's pods and where their interfaces are."""
    endpoints = sorted(state.endpoints.items()) if state else []
    return {
        "endpoints": [
            {
                "pod": f"{ref.namespace}/{ref.name}",
                "addresses": [str(address) for address in endpoint.attachment.addresses],
                "device": endpoint.attachment.ifname,
                "netns": endpoint.attachment.netns,
                "container": endpoint.attachment.container_id,
                "policy": f"{endpoint.policy:016x}" if endpoint.policy else None,
                "policies": [str(policy.ref) for policy in endpoint.selecting],
            }
            for ref, endpoint in endpoints
        ]
    }


def maps_view(kernel: Inspection) -> dict[str, Any]:
    """`{"maps": [...], "counters": {...}}`: how full each table is, and packets by verdict reason."""
    return {
        "maps": [
            {"name": usage.name, "entries": usage.entries, "capacity": usage.capacity, "memory": usage.memory}
            for usage in sorted(kernel.maps, key=lambda usage: usage.name)
        ],
        "counters": dict(sorted(kernel.counters.items())),
    }


def _frontend(frontend: Frontend, kernel: dict[Key, KernelFrontend]) -> dict[str, Any]:
    backends = [(str(backend.address), backend.port) for backend in frontend.backends.backends]
    key = (str(frontend.address), frontend.port, frontend.protocol.value, int(frontend.scope))
    read_back = kernel.get(key)
    programmed = read_back is not None and sorted(backends) == sorted(
        (str(address), port) for address, port in read_back.backends
    )
    return {
        "address": key[0],
        "port": frontend.port,
        "protocol": frontend.protocol.value,
        "scope": frontend.scope.name.lower(),
        "backends": [{"address": address, "port": port} for address, port in backends],
        "drops": frontend.drops,
        "programmed": programmed,
    }


def _kernel_key(frontend: KernelFrontend) -> Key:
    return str(frontend.address), frontend.port, frontend.protocol.value, frontend.scope
