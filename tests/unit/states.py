"""Named inputs and states, built from one another, for tests of what stands above compute."""

from __future__ import annotations

from ipaddress import ip_address
from types import MappingProxyType

from twinway.model.cluster import Cluster
from twinway.model.net import NodeName, ObjectRef, Protocol
from twinway.model.node import (
    Attachment,
    Backend,
    BackendId,
    BackendSet,
    BackendSetId,
    Endpoint,
    Frontend,
    NodeState,
    PolicyState,
    Scope,
    ServiceState,
)
from twinway.reconcile import Inputs


def attachment(name: str, container_id: str = "c1", address: str = "10.1.0.5") -> Attachment:
    """What an ADD of pod `shop/NAME` reported."""
    return Attachment(
        pod=ObjectRef("Pod", "shop", name),
        container_id=container_id,
        netns=f"/run/netns/{name}",
        ifname="eth0",
        addresses=(ip_address(address),),
    )


def service(name: str) -> ServiceState:
    """A Service with one frontend and one backend."""
    backend = Backend(BackendId(7), ip_address("10.1.0.9"), 8080, Protocol.TCP)
    frontend = Frontend(
        ip_address("10.96.0.1"), 80, Protocol.TCP, Scope.INTERNAL, BackendSet(BackendSetId(3), (backend,))
    )
    return ServiceState(ObjectRef("Service", "shop", name), (frontend,), (backend,))


def state(version: str, *services: str, attachments: tuple[Attachment, ...] = ()) -> NodeState:
    """A state with these Services and pods."""
    return NodeState(
        node=NodeName("n1"),
        version=version,
        addresses=(ip_address("192.168.0.1"),),
        services=MappingProxyType({ObjectRef("Service", "shop", name): service(name) for name in services}),
        endpoints=MappingProxyType({item.pod: Endpoint(item) for item in attachments}),
        policy=PolicyState(),
        rejected=(),
    )


def inputs(version: str, *, complete: bool = True, attachments: tuple[Attachment, ...] = ()) -> Inputs:
    """Inputs whose `compute` is `compute_named`: the version lists the Services, as in `a+b`."""
    return Inputs(Cluster(version=version, complete=complete), attachments)


def compute_named(given: Inputs) -> NodeState:
    """The state with the Services that the version lists."""
    names = given.cluster.version.split("+") if given.cluster.version else []
    return state(given.cluster.version, *names, attachments=given.attachments)
