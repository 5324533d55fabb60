"""
Policy compute at scale: time and memory for 1,000 policies and 10,000 pods, 120 of them on this node.

    python -m twinway_bench.policy_scale [--pods 10000] [--namespaces 200] [--changes 200]

Each namespace has five applications and five policies: deny by default, ingress from the same
namespace, ingress from teams by namespace labels, egress to DNS by named port and to a database, and
egress to the world but for private ranges. Three cluster-wide policies stand above them.
"""

from __future__ import annotations

import argparse
import gc
import random
import resource
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_network

from twinway.compute.policy.policies import PolicyMemo, compile_policies
from twinway.model.cluster import Cluster, ContainerPort, Namespace, Node, Pod
from twinway.model.net import NodeName, ObjectRef, Protocol
from twinway.model.node import Attachment, PolicyState
from twinway.model.policy import (
    Block,
    ClusterAction,
    ClusterPolicy,
    ClusterRule,
    NetworkPolicy,
    Operator,
    PodPeer,
    PortRange,
    Requirement,
    Rule,
    Selector,
    Tier,
)

HERE = NodeName("node-0")
LOCAL = 120
APPS = ("web", "api", "worker", "cache", "db")
TEAMS = 20
EVERYTHING = Selector()


def label(key: str, *values: str) -> Selector:
    """Objects whose label has one of these values."""
    return Selector((Requirement(key, Operator.IN, tuple(sorted(values))),))


def make_pod(number: int, namespaces: int, nodes: int) -> Pod:
    """Pod `number`: its namespace and application follow from the number, and so does its node."""
    namespace, app = number % namespaces, APPS[number // namespaces % len(APPS)]
    metrics = ContainerPort("metrics", Protocol.TCP, 9090 + namespace % 3)
    return Pod(
        ref=ObjectRef("Pod", f"ns-{namespace}", f"{app}-{number}"),
        uid=str(number),
        labels={"app": app, "pod-template-hash": f"{namespace:x}", "tier": "front" if app == "web" else "back"},
        annotations={},
        node=NodeName(f"node-{number % nodes}"),
        addresses=(IPv4Address(0x0A000000 + number), IPv6Address((0xFD << 120) + number)),
        ports=(ContainerPort("http", Protocol.TCP, 8080), metrics),
        host_network=False,
        ready=True,
        terminating=False,
        finished=False,
    )


def policies_of(namespace: int) -> Iterator[NetworkPolicy]:
    """The five policies of one namespace."""
    name = f"ns-{namespace}"

    def ref(policy: str) -> ObjectRef:
        return ObjectRef("NetworkPolicy", name, policy)

    tcp = (PortRange(Protocol.TCP, 8080, 8080),)
    yield NetworkPolicy(ref("deny"), EVERYTHING, ingress=(), egress=())
    inside = Rule((PodPeer(None, label("tier", "front")),), tcp)
    yield NetworkPolicy(ref("inside"), label("tier", "back"), (inside,), None)
    teams = label("team", f"team-{namespace % TEAMS}", f"team-{(namespace + 1) % TEAMS}")
    metrics = (PortRange(Protocol.TCP, 0, 0, "metrics"), PortRange(Protocol.TCP, 30000, 32767))
    watching = Rule((PodPeer(teams, EVERYTHING),), metrics)
    yield NetworkPolicy(ref("teams"), label("app", "web", "api"), (watching,), None)
    database = Rule((PodPeer(None, label("app", "db")),), (PortRange(Protocol.TCP, 0, 0, "http"),))
    dns = Rule(
        (PodPeer(label("kubernetes.io/metadata.name", "ns-0"), label("app", "cache")),),
        (PortRange(Protocol.UDP, 53, 53), PortRange(Protocol.TCP, 53, 53)),
    )
    yield NetworkPolicy(ref("egress"), EVERYTHING, None, (database, dns))
    private = (ip_network("10.0.0.0/8"), ip_network("172.16.0.0/12"), ip_network("192.168.0.0/16"))
    world = Rule((Block(ip_network("0.0.0.0/0"), private), Block(ip_network(f"203.0.{namespace}.0/24"), ())), None)
    yield NetworkPolicy(ref("world"), label("app", "web", "worker"), None, (world,))


def cluster_policies() -> Iterator[ClusterPolicy]:
    """Deny one team to another, always allow monitoring, and a baseline."""
    everyone = PodPeer(EVERYTHING, EVERYTHING)
    team = PodPeer(label("team", "team-3"), EVERYTHING)
    monitoring = PodPeer(label("kubernetes.io/metadata.name", "ns-1"), label("app", "worker"))
    deny = ClusterRule("no-team-3", ClusterAction.DENY, (team,), None)
    scrape = ClusterRule("scrape", ClusterAction.ACCEPT, (monitoring,), (PortRange(None, 0, 0, "metrics"),))
    for name, tier, subject, rule in (
        ("monitoring", Tier.ADMIN, everyone, scrape),
        ("team-4", Tier.ADMIN, PodPeer(label("team", "team-4"), EVERYTHING), deny),
        ("base", Tier.BASELINE, everyone, deny),
    ):
        ref = ObjectRef("ClusterNetworkPolicy", "", name)
        yield ClusterPolicy(ref, tier, 10, subject, ingress=(rule,), egress=())


def make_cluster(pods: int, namespaces: int) -> Cluster:
    """The whole cluster; its nodes have `LOCAL` pods each."""
    nodes = max(1, pods // LOCAL)
    everyone = [make_pod(number, namespaces, nodes) for number in range(pods)]
    spaces = [
        Namespace(
            ObjectRef("Namespace", "", f"ns-{number}"),
            {"kubernetes.io/metadata.name": f"ns-{number}", "team": f"team-{number % TEAMS}"},
        )
        for number in range(namespaces)
    ]
    machines = [Node(ObjectRef("Node", "", f"node-{number}"), {}, (), ()) for number in range(nodes)]
    policies = [policy for number in range(namespaces) for policy in policies_of(number)]
    return Cluster(
        version="0",
        pods={pod.ref: pod for pod in everyone},
        namespaces={space.ref: space for space in spaces},
        nodes={machine.ref: machine for machine in machines},
        policies={policy.ref: policy for policy in policies},
        cluster_policies={policy.ref: policy for policy in cluster_policies()},
    )


def attachments_of(cluster: Cluster) -> dict[ObjectRef, Attachment]:
    """Those of this node."""
    local = (pod for pod in cluster.pods.values() if pod.node == HERE)
    return {pod.ref: Attachment(pod.ref, pod.uid, f"/run/netns/{pod.uid}", "eth0", pod.addresses) for pod in local}


def relabelled(cluster: Cluster, ref: ObjectRef, labels: Mapping[str, str]) -> Cluster:
    """The cluster after one pod's labels changed."""
    return replace(cluster, pods={**cluster.pods, ref: replace(cluster.pods[ref], labels=labels)})


def timed(what: Callable[[], object]) -> float:
    """Milliseconds of processor time that it took: others on the machine do not count."""
    start = time.process_time()
    what()
    return (time.process_time() - start) * 1000


def changes(cluster: Cluster, count: int, *, local: bool) -> Iterator[Cluster]:
    """One pod at a time takes another application's labels, as when somebody isolates it by hand."""
    order = random.Random(1)
    refs = [ref for ref, pod in cluster.pods.items() if (pod.node == HERE) == local]
    for _ in range(count):
        ref = order.choice(refs)
        app = order.choice([*APPS, "other"])
        cluster = relabelled(cluster, ref, {**cluster.pods[ref].labels, "app": app})
        yield cluster


def sizes(state: PolicyState) -> str:
    """How large the tables are."""
    entries = [len(each.entries) for each in state.sets.values()]
    return (
        f"{len(state.sets)} sets, {sum(entries)} verdict entries (largest set {max(entries)}), "
        f"{len(state.classes)} class entries, {len(set(state.classes.values()))} classes, {len(state.rules)} rules"
    )


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--namespaces", type=int, default=200)
    parser.add_argument("--changes", type=int, default=200)
    given = parser.parse_args()
    cluster = make_cluster(given.pods, given.namespaces)
    attachments = attachments_of(cluster)
    print(f"{len(cluster.policies)} policies, {len(cluster.pods)} pods, {len(attachments)} on this node")
    scratch = [timed(lambda: compile_policies(cluster, HERE, attachments)) for _ in range(3)]
    print(f"from scratch: {min(scratch):.0f} ms (best of {len(scratch)})")
    tracemalloc.start()
    memo = PolicyMemo()
    state, *_ = memo.compile(cluster, HERE, attachments)
    gc.collect()
    print(f"memory: {tracemalloc.get_traced_memory()[0] / 2**20:.1f} MiB held by memo and state")
    tracemalloc.stop()
    print(f"tables: {sizes(state)}")
    print(f"nothing changed: {timed(lambda: memo.compile(cluster, HERE, attachments)):.2f} ms")
    for local, where in ((True, "a pod of this node"), (False, "a pod elsewhere")):
        memo = PolicyMemo()
        memo.compile(cluster, HERE, attachments)
        # As a long-lived agent does: what is there to stay is no work for the collector.
        gc.freeze()
        taken = [
            timed(partial(memo.compile, changed, HERE, attachments))
            for changed in changes(cluster, given.changes, local=local)
        ]
        taken.sort()
        median, p99 = statistics.median(taken), taken[int(len(taken) * 0.99)]
        print(f"label change of {where}: median {median:.2f} ms, p99 {p99:.2f} ms, max {taken[-1]:.2f} ms")
    print(f"peak resident: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
