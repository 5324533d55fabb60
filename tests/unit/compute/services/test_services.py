"""What one Service asks of a node: kube-proxy's semantics, case by case."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from twinway.compute.services.service import not_served, service_state
from twinway.model.cluster import EndpointSlice, Node, Service, ServicePort, SliceEndpoint, SlicePort
from twinway.model.net import Family, NodeName, ObjectRef, Protocol
from twinway.model.node import Scope, ServiceState

WEB = ObjectRef("Service", "shop", "web")
HTTP = ServicePort("http", Protocol.TCP, 80, 8080)
SERVICE = Service(WEB, "ClusterIP", (ip_address("10.96.0.1"),), (HTTP,), (), publish_not_ready=False)

READY = (True, True, False)
NOT_READY = (False, False, False)
DRAINING = (False, True, True)
ENDING = (False, False, True)


N1 = Node(ObjectRef("Node", "", "n1"), {}, (), ())


def endpoint(
    address: str, conditions: tuple[bool, bool, bool] = READY, node: NodeName | None = None
) -> SliceEndpoint:
    """An endpoint that is (ready, serving, terminating)."""
    ready, serving, terminating = conditions
    return SliceEndpoint(ip_address(address), ready, serving, terminating, node, None)


def slice_of(*endpoints: SliceEndpoint, name: str = "x", port: SlicePort | None = None) -> EndpointSlice:
    """A slice of `web` with these endpoints, by default on TCP port 8080."""
    family = Family(endpoints[0].address.version) if endpoints else Family.V4
    ports = (port or SlicePort("http", Protocol.TCP, 8080),)
    return EndpointSlice(ObjectRef("EndpointSlice", "shop", name), WEB, family, ports, endpoints)


def state_of(*slices: EndpointSlice, service: Service = SERVICE, node: Node | None = None) -> ServiceState:
    """The state of a Service that is served."""
    state, _ = service_state(service, slices, node)
    assert state is not None
    return state


def chosen(state: ServiceState) -> list[str]:
    """Addresses that new connections of the first frontend may be given."""
    return [str(each.address) for each in state.frontends[0].backends.backends]


def kept(state: ServiceState) -> set[str]:
    """Addresses that keep the connections they have."""
    return {str(each.address) for each in state.serving}


def test_a_cluster_ip_with_ready_endpoints() -> None:
    """One frontend; backends on the slice's port, sorted by address as a number."""
    state = state_of(slice_of(endpoint("10.0.0.10"), endpoint("10.0.0.9")))
    (frontend,) = state.frontends
    assert (str(frontend.address), frontend.port, frontend.protocol) == ("10.96.0.1", 80, Protocol.TCP)
    assert frontend.scope is Scope.INTERNAL
    assert chosen(state) == ["10.0.0.9", "10.0.0.10"]
    assert {each.port for each in frontend.backends.backends} == {8080}


@pytest.mark.parametrize("slices", [(), (slice_of(),), (slice_of(endpoint("10.0.0.1", NOT_READY)),)])
def test_without_usable_endpoints_the_frontend_stays(slices: tuple[EndpointSlice, ...]) -> None:
    """Its empty set rejects: a client is answered at once."""
    assert chosen(state_of(*slices)) == []


def test_ready_endpoints_go_before_draining_ones() -> None:
    """New connections avoid what terminates; those it has are kept."""
    state = state_of(slice_of(endpoint("10.0.0.1"), endpoint("10.0.0.2", DRAINING)))
    assert (chosen(state), kept(state)) == (["10.0.0.1"], {"10.0.0.1", "10.0.0.2"})


def test_draining_endpoints_serve_when_there_is_nothing_else() -> None:
    """Those that still serve, not those that have stopped. Source: KEP-1669."""
    state = state_of(slice_of(endpoint("10.0.0.1", ENDING), endpoint("10.0.0.2", DRAINING)))
    assert chosen(state) == ["10.0.0.2"]


def test_one_that_serves_without_being_ready_or_terminating_is_not_chosen() -> None:
    """The fall-back is for terminating endpoints alone, as kube-proxy has it."""
    assert chosen(state_of(slice_of(endpoint("10.0.0.1", (False, True, False))))) == []


@pytest.mark.parametrize(("protocol", "expected"), [(Protocol.TCP, {"10.0.0.1"}), (Protocol.UDP, set())])
def test_who_keeps_connections_when_it_does_not_serve(protocol: Protocol, expected: set[str]) -> None:
    """A TCP connection goes on as long as the endpoint exists; UDP clients get another backend at once."""
    service = replace(SERVICE, ports=(replace(HTTP, protocol=protocol),))
    port = SlicePort("http", protocol, 8080)
    assert kept(state_of(slice_of(endpoint("10.0.0.1", NOT_READY), port=port), service=service)) == expected


def test_an_unready_address_that_is_published_is_used() -> None:
    """The slice says so by `ready`, also of a terminating one."""
    assert chosen(state_of(slice_of(endpoint("10.0.0.1", (True, False, True))))) == ["10.0.0.1"]


@pytest.mark.parametrize("first_is_ready", [True, False])
def test_an_endpoint_in_two_slices_is_one_backend(first_is_ready: bool) -> None:
    """In the better of its conditions, whichever slice says so."""
    better, worse = (endpoint("10.0.0.1"), endpoint("10.0.0.1", NOT_READY))
    first, second = (better, worse) if first_is_ready else (worse, better)
    assert chosen(state_of(slice_of(first, name="x"), slice_of(second, name="y"))) == ["10.0.0.1"]


def test_ports_meet_by_name_and_protocol() -> None:
    """A slice's port of another name or protocol is another port."""
    for port in (SlicePort("other", Protocol.TCP, 1), SlicePort("http", Protocol.UDP, 1)):
        assert chosen(state_of(slice_of(endpoint("10.0.0.1"), port=port))) == []


def test_slices_may_lead_to_different_target_ports() -> None:
    """As they do for named ports that pods answer differently."""
    state = state_of(
        slice_of(endpoint("10.0.0.2"), name="x"),
        slice_of(endpoint("10.0.0.1"), name="y", port=SlicePort("http", Protocol.TCP, 9090)),
    )
    assert [(str(each.address), each.port) for each in state.frontends[0].backends.backends] == [
        ("10.0.0.1", 9090),
        ("10.0.0.2", 8080),
    ]


def test_each_port_and_family_is_a_frontend() -> None:
    """Sorted; IPv6 frontends have IPv6 backends alone."""
    service = replace(
        SERVICE,
        cluster_ips=(ip_address("fd96::1"), ip_address("10.96.0.1")),
        ports=(replace(HTTP, name="more", port=8), HTTP),
    )
    state = state_of(slice_of(endpoint("10.0.0.1")), slice_of(endpoint("fd00::1"), name="y"), service=service)
    assert [
        (str(each.address), each.port, [str(one.address) for one in each.backends.backends])
        for each in state.frontends
    ] == [
        ("10.96.0.1", 8, []),
        ("10.96.0.1", 80, ["10.0.0.1"]),
        ("fd96::1", 8, []),
        ("fd96::1", 80, ["fd00::1"]),
    ]


def test_two_ports_with_one_target_have_backends_of_their_own() -> None:
    """One port may lose it, and the other keep it."""
    service = replace(SERVICE, ports=(HTTP, replace(HTTP, name="alt", port=81)))
    both = replace(
        slice_of(endpoint("10.0.0.1")), ports=tuple(SlicePort(n, Protocol.TCP, 8080) for n in ("http", "alt"))
    )
    state = state_of(both, service=service)
    assert len({each.backends.id for each in state.frontends}) == 2
    assert {(str(each.address), each.port) for each in state.serving} == {("10.0.0.1", 8080)}
    assert len({each.id for each in state.serving}) == len(state.serving) == 2


def test_internal_traffic_policy_local_takes_endpoints_of_the_node_alone() -> None:
    """Ready ones first, then those that terminate; an endpoint whose node is not said is on none."""
    local = replace(SERVICE, internal_local=True)
    here, there = NodeName("n1"), NodeName("n2")
    far, unsaid = endpoint("10.0.0.2", node=there), endpoint("10.0.0.3")
    near, draining = endpoint("10.0.0.1", node=here), endpoint("10.0.0.4", DRAINING, here)
    for slice_, expected in (
        (slice_of(near, far, unsaid, draining), ["10.0.0.1"]),
        (slice_of(far, unsaid, draining), ["10.0.0.4"]),
        (slice_of(far, unsaid), []),
    ):
        assert chosen(state_of(slice_, service=local, node=N1)) == expected
        assert chosen(state_of(slice_, service=local)) == []
    # who is connected to another node's endpoint stays so
    assert kept(state_of(slice_of(near, far), service=local, node=N1)) == {"10.0.0.1", "10.0.0.2"}


@pytest.mark.parametrize(
    ("endpoints", "local", "drops"),
    [
        ((endpoint("10.0.0.2", node=NodeName("n2")),), True, True),
        ((endpoint("10.0.0.2", DRAINING, NodeName("n2")),), True, True),
        ((endpoint("10.0.0.2", NOT_READY, NodeName("n2")),), True, False),
        ((), True, False),
        ((), False, False),
        ((endpoint("10.0.0.1", node=NodeName("n1")),), True, False),
    ],
    ids=["elsewhere", "terminating elsewhere", "not ready elsewhere", "nowhere", "not Local", "here"],
)
def test_local_service_drops_if_endpoints_are_elsewhere(
    endpoints: tuple[SliceEndpoint, ...], *, local: bool, drops: bool
) -> None:
    """Without any endpoint that could answer it rejects, like every Service."""
    state = state_of(slice_of(*endpoints), service=replace(SERVICE, internal_local=local), node=N1)
    assert [each.drops for each in state.frontends] == [drops]


def hinted(address: str, *zones: str, nodes: tuple[str, ...] = ()) -> SliceEndpoint:
    """A ready endpoint with hints."""
    return replace(endpoint(address), for_zones=zones, for_nodes=tuple(map(NodeName, nodes)))


A1, B1 = hinted("10.0.0.1", "a"), hinted("10.0.0.2", "b")


@pytest.mark.parametrize(
    ("endpoints", "expected"),
    [
        ((A1, B1), ["10.0.0.1"]),
        ((A1, B1, hinted("10.0.0.3", "b", "a")), ["10.0.0.1", "10.0.0.3"]),
        ((A1, endpoint("10.0.0.3")), ["10.0.0.1", "10.0.0.3"]),
        ((B1, hinted("10.0.0.3", "c")), ["10.0.0.2", "10.0.0.3"]),
        ((A1, B1, endpoint("10.0.0.4", NOT_READY), endpoint("10.0.0.5", DRAINING)), ["10.0.0.1"]),
        ((replace(A1, ready=False), B1), ["10.0.0.2"]),
        ((endpoint("10.0.0.5", DRAINING), replace(A1, ready=False, serving=True, terminating=True)), None),
        ((hinted("10.0.0.1", "a", nodes=("n2",)), hinted("10.0.0.2", "b", nodes=("n1",))), ["10.0.0.2"]),
        ((hinted("10.0.0.1", "a", nodes=("n2",)), hinted("10.0.0.2", "b", nodes=("n3",))), ["10.0.0.1"]),
    ],
    ids=[
        "zone",
        "two zones",
        "one lacks hints",
        "no zone is this one",
        "not ready",
        "none is ready for the zone",
        "terminating",
        "node before zone",
        "no node is this one",
    ],
)
def test_hints(endpoints: tuple[SliceEndpoint, ...], expected: list[str] | None) -> None:
    """They count if every ready endpoint has some and one is for this zone; else every endpoint does."""
    node = replace(N1, labels={"topology.kubernetes.io/zone": "a"})
    everything = sorted(str(each.address) for each in endpoints)
    assert chosen(state_of(slice_of(*endpoints), node=node)) == (everything if expected is None else expected)


@pytest.mark.parametrize("node", [N1, None])
def test_hints_need_a_zone(node: Node | None) -> None:
    """A node without the zone's label uses every endpoint."""
    assert chosen(state_of(slice_of(A1, B1), node=node)) == ["10.0.0.1", "10.0.0.2"]


def test_hints_do_not_end_connections() -> None:
    """An endpoint for another zone keeps the connections that it has."""
    node = replace(N1, labels={"topology.kubernetes.io/zone": "a"})
    assert kept(state_of(slice_of(A1, B1), node=node)) == {"10.0.0.1", "10.0.0.2"}


def test_internal_traffic_policy_local_goes_before_hints() -> None:
    """A Local Service takes the endpoints of its node, whatever hints say."""
    node = replace(N1, labels={"topology.kubernetes.io/zone": "a"})
    mine = replace(B1, node=NodeName("n1"))
    local = replace(SERVICE, internal_local=True)
    assert chosen(state_of(slice_of(A1, mine), service=local, node=node)) == ["10.0.0.2"]


@pytest.mark.parametrize("derived", [True, False])
@pytest.mark.parametrize("auto", [True, False])
def test_topology_mode_without_a_controller_is_reported(*, auto: bool, derived: bool) -> None:
    """Slices that somebody wrote have the hints that their controller gave them."""
    slice_ = replace(slice_of(endpoint("10.0.0.1")), derived=derived)
    lines = [str(each) for each in not_served(replace(SERVICE, topology_auto=auto), (slice_,))]
    assert [line.partition(": Auto")[0] for line in lines] == (
        ['Service shop/web: metadata.annotations["service.kubernetes.io/topology-mode"]']
        if auto and derived
        else []
    )


def test_without_an_address_there_is_nothing_to_serve() -> None:
    """Headless and ExternalName Services."""
    assert service_state(replace(SERVICE, cluster_ips=()), (slice_of(endpoint("10.0.0.1")),), None) == (None, ())


def test_a_family_that_the_node_lacks_is_left_out_and_reported() -> None:
    """The other family is served; the Service is named once."""
    node = Node(ObjectRef("Node", "", "n1"), {}, (ip_address("192.168.0.1"),), ())
    service = replace(SERVICE, cluster_ips=(ip_address("10.96.0.1"), ip_address("fd96::1")))
    state, rejected = service_state(service, (), node)
    assert state is not None
    assert [str(each.address) for each in state.frontends] == ["10.96.0.1"]
    assert [str(each) for each in rejected] == [
        "Service shop/web: spec.clusterIPs[1]: fd96::1 is not served here: Node n1 has no IPv6 address"
    ]


@pytest.mark.parametrize("node", [None, Node(ObjectRef("Node", "", "n1"), {}, (), ())])
def test_a_node_that_has_no_addresses_yet_serves_both_families(node: Node | None) -> None:
    """Nothing is refused for what is merely not known."""
    service = replace(SERVICE, cluster_ips=(ip_address("10.96.0.1"), ip_address("fd96::1")))
    state, rejected = service_state(service, (), node)
    assert state is not None
    assert (len(state.frontends), rejected) == (2, ())
