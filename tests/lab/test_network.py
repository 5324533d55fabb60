"""The network of a lab, without a driver that changes anything: everybody reaches everybody, as who they are."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.lab.labs import Lab
from tests.lab.objects import Object, node, pod


def has(kind: str) -> bool:
    """Whether this kernel makes devices of this kind."""
    script = f"ip link add end0 type veth peer name end1 && ip link add link end0 name slave0 type {kind}"
    tried = subprocess.run(["unshare", "--net", "sh", "-c", script], capture_output=True, check=False)
    return kind == "veth" or tried.returncode == 0


@pytest.fixture(params=["veth", "macvlan", "ipvlan"])
def device(request: pytest.FixtureRequest) -> str:
    """Every way to plug in a pod that this kernel has."""
    kind: str = request.param
    if not has(kind):
        pytest.skip(f"this kernel has no {kind} (CONFIG_{kind.upper()})")
    return kind


def udp(given: Object, port: int = 53) -> Object:
    """The pod answers on a UDP port, too."""
    given["spec"]["containers"][0]["ports"].append({"containerPort": port, "protocol": "UDP"})
    return given


CLUSTER = (
    node("a"),
    # Two addresses, none of them in the underlay's own network, and no IPv6.
    node("b", "192.168.7.1", "192.168.7.2", cidrs=("10.20.0.0/24", "fd00:20::/64")),
    udp(pod("first", on="a")),
    pod("second", on="a"),
    udp(pod("third", on="b")),
    pod("host", on="a", host=True, tcp=8080),
    # Addresses that no range holds; one of them stands in the other node's.
    pod("stray", "10.99.0.1", "fd00:99::1", on="a"),
    pod("guest", "10.244.1.200", on="b"),
    # One address in the node's range, the other in none.
    pod("half", "10.244.1.50", "fd00:99::50", on="a"),
    pod("other", "10.99.0.50", "fd00:244:1::50", on="a"),
)


def own(lab: Lab, name: str) -> list[str]:
    """The addresses of a pod."""
    (found,) = (each["addresses"] for each in lab.status()["pods"] if each["pod"] == f"shop/{name}")
    return list(found)


def test_all_reach_all(lab: Lab, device: str) -> None:
    """Every pod every other one, on every port, both families, and is seen under its own address."""
    lab.up(*CLUSTER, device=device)
    addresses = {each["pod"]: each["addresses"] for each in lab.status()["pods"]}
    for answer in lab.matrix():
        if answer["from"] == "shop/guest" and "[" in answer["to"]:
            continue  # it has no IPv6 address
        assert answer["outcome"] == "connected", answer
        assert answer["observed_source"] in addresses[answer["from"]], answer
        assert answer["to"].rpartition(":")[0].strip("[]") in addresses[answer["backend"]], answer


def test_a_node_reaches_pods_as_itself(lab: Lab, device: str) -> None:
    """Its own and others', from an address that its Node object has; and pods reach it."""
    lab.up(*CLUSTER, device=device)
    first, third = own(lab, "first"), own(lab, "third")
    queries = [
        {"from": source, "to": f"{host}:80"}
        for source in ("node/a", "node/b")
        for host in (first[0], third[0], f"[{first[1]}]", f"[{third[1]}]")
        if not (source == "node/b" and ":" in host)  # this node has no IPv6 address
    ]
    for answer in lab.batch(*queries):
        assert answer["outcome"] == "connected", answer
        assert answer["observed_source"] in ("172.30.0.11", "fd00:30::11", "192.168.7.1"), answer
    for source in ("shop/first", "shop/third", "shop/stray", "shop/guest", "node/b", "external"):
        assert lab.probe(source, "172.30.0.11:8080")["backend"] == "shop/host", source


def test_an_address_of_a_pod_that_is_gone_leads_to_the_new_one(lab: Lab, device: str) -> None:
    """Those who have just spoken to an address, in either family, find at once the pod that has it now."""
    addresses = ("10.244.1.9", "fd00:244:1::9")
    asker = pod("asker", on="n2")
    lab.up(asker, pod("old", *addresses, on="n1"), device=device)
    for name in ("old", "new", "newer"):
        lab.do("sync", "-f", lab.file(asker, pod(name, *addresses, on="n1")))
        for to in ("10.244.1.9:80", "[fd00:244:1::9]:80"):
            assert lab.probe("shop/asker", to)["backend"] == f"shop/{name}"


def test_outside_reaches_pods_from_any_address(lab: Lab, device: str) -> None:
    """The external host as itself and as any other client; and pods reach it."""
    lab.up(*CLUSTER, device=device)
    third = own(lab, "third")
    for host, source in ((third[0], "203.0.113.9"), (f"[{third[1]}]", "2001:db8::9")):
        answer = lab.probe("external", f"{host}:80", "--source", source)
        assert (answer["backend"], answer["observed_source"]) == ("shop/third", source)
    assert lab.probe("external", f"{third[0]}:80")["observed_source"] == "172.30.0.2"
    for client in ("first", "half", "other"):
        for host in ("172.30.0.2", "[fd00:30::2]"):
            assert lab.probe(f"shop/{client}", f"{host}:80")["outcome"] == "connected", (client, host)


def test_without_a_route_nobody_has_rejected(lab: Lab, device: str) -> None:
    """A pod without an IPv6 route: nobody answers what it could not send, and the answer says why."""
    lab.up(udp(pod("a")), pod("guest", "10.244.1.200"), device=device)
    lab.do("exec", "shop/guest", "--", "ip", "-6", "route", "flush", "table", "main")
    to = f"[{own(lab, 'a')[1]}]"
    for protocol, port in (("tcp", 80), ("udp", 53)):
        answer = lab.probe("shop/guest", f"{to}:{port}", "--protocol", protocol, "--why")
        assert answer["outcome"] == "dropped"
        assert answer["detail"] == f"no route to {to.strip('[]')}"


def test_all_addresses_of_a_node_are_its_own(lab: Lab) -> None:
    """And usable as a probe's source."""
    lab.up(*CLUSTER)
    shown = json.loads(lab.do("exec", "node/b", "--", "ip", "-json", "address", "show", "dev", "eth0"))
    assert {"192.168.7.1", "192.168.7.2"} <= {each["local"] for each in shown[0]["addr_info"]}
    answer = lab.probe("node/b", f"{own(lab, 'first')[0]}:80", "--source", "192.168.7.2")
    assert answer["observed_source"] == "192.168.7.2"
    assert "cannot be used" in lab.fail(
        "probe", "--from", "node/b", "--to", "10.0.0.1:80", "--source", "192.168.7.3"
    )


def test_silence_and_refusal_are_told_apart(lab: Lab) -> None:
    """Nobody listens: rejected, for TCP and UDP. Nobody answers: dropped, after the time given."""
    lab.up(udp(pod("a")), pod("b"))
    (address, _) = own(lab, "a")
    for protocol in ("tcp", "udp"):
        assert lab.probe("shop/b", f"{address}:9", "--protocol", protocol)["outcome"] == "rejected"
    lab.do("exec", "shop/a", "--", "ip", "route", "replace", "blackhole", f"{own(lab, 'b')[0]}/32")
    for protocol, port in (("tcp", 80), ("udp", 53)):
        answer = lab.probe("shop/b", f"{address}:{port}", "--protocol", protocol, "--timeout", "0.5")
        assert answer["outcome"] == "dropped"
        assert 450 < answer["rtt_ms"] < 5000


def test_large_payloads_come_back_whole(lab: Lab) -> None:
    """Both ways, as a datagram in fragments and as a stream."""
    lab.up(udp(pod("a", on="n1")), pod("b", on="n2"))
    for host in (own(lab, "a")[0], f"[{own(lab, 'a')[1]}]"):
        for protocol, port in (("tcp", 80), ("udp", 53)):
            words = ("--protocol", protocol, "--payload-size", "60000")
            assert lab.probe("shop/b", f"{host}:{port}", *words)["outcome"] == "connected", (host, protocol)


def test_web_clients_are_answered_on_one_connection(lab: Lab) -> None:
    """HTTP, kept alive: the facts are the body."""
    lab.up(pod("a"), pod("b"))
    ask = (
        "import http.client, sys\n"
        "c = http.client.HTTPConnection(sys.argv[1], 80, timeout=5)\n"
        "for _ in range(3):\n"
        "    c.request('GET', '/')\n"
        "    print(c.getresponse().read().decode(), c.sock.getsockname()[1])\n"
    )
    lines = lab.do("exec", "shop/b", "--", "python3", "-c", ask, own(lab, "a")[0]).split("\n")
    facts = [json.loads(line) for line in lines if line.startswith("{")]
    assert [each["pod"] for each in facts] == ["shop/a"] * 3
    assert len({each["port"] for each in facts}) == 1


def test_hundreds_of_probes_at_once(lab: Lab) -> None:
    """None is lost, TCP or UDP."""
    lab.up(udp(pod("a")), pod("b"))
    address = own(lab, "a")[0]
    answers = lab.batch(
        {"from": "shop/b", "to": f"{address}:80", "count": 400},
        {"from": "shop/b", "to": f"{address}:53", "protocol": "udp", "count": 400},
    )
    assert [each["outcome"] for each in answers] == ["connected"] * 800
