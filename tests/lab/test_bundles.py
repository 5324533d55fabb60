"""Objects as the files of the world have them: what an API server, a kubelet and controllers fill in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.lab.labs import Lab
from tests.lab.objects import Object, deployment, documents, node, pod, service
from twinway.errors import ManifestError
from twinway_lab.nodes.publish import published
from twinway_lab.objects import documents as docs
from twinway_lab.objects.objects import Understood, understood
from twinway_lab.plan.plan import Plan


def made_of(*objects: Object) -> Understood:
    """What these objects come to."""
    return understood(documents(*objects), Plan(), {})


def placements(*objects: Object) -> list[tuple[str, str]]:
    """(pod, node), by pod."""
    return [(each.place.name, each.node) for each in made_of(*objects).plan.pods]


def selecting(workload: Object, **spec: Any) -> Object:
    """The workload with these fields in its pods' spec."""
    workload["spec"]["template"]["spec"] |= spec
    return workload


def read_from(folder: Path, *objects: Object, namespace: str | None = None) -> docs.Reading:
    """These objects, read from a file."""
    path = folder / "objects.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))
    return docs.read([path], namespace)


def named(kind: str, name: str, api: str = "v1", **more: Any) -> Object:
    """An object of which nothing but its kind counts."""
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name}, **more}


# Nodes


@pytest.mark.parametrize(
    "labels", [{"kubernetes.io/os": "linux"}, {"beta.kubernetes.io/os": "linux"}, {"kubernetes.io/hostname": "n2"}]
)
def test_nodes_have_the_labels_of_kubelets(labels: dict[str, str]) -> None:
    """Before pods are scheduled, on nodes that nobody wrote and on those that somebody did."""
    for nodes in ((), (node("n1"), node("n2"))):
        daemons = selecting(deployment("log", 1, kind="DaemonSet"), nodeSelector=labels)
        placed = placements(*nodes, daemons, selecting(deployment("web", 1), nodeSelector=labels))
        assert ("log-n2", "n2") in placed
        assert (("log-n1", "n1") in placed) == ("kubernetes.io/hostname" not in labels)
        assert any(name == "web-0" for name, _ in placed)


def test_what_a_node_says_of_itself_wins() -> None:
    """A Windows node is none of Linux, for the scheduler and for the agents."""
    windows = node("w")
    windows["metadata"]["labels"] = {"kubernetes.io/os": "windows"}
    made = made_of(windows, node("l"), selecting(deployment("web", 2), nodeSelector={"kubernetes.io/os": "linux"}))
    assert {each.node for each in made.plan.pods} == {"l"}
    shown = {
        each["metadata"]["name"]: each for each in published(made.objects, made.plan) if each["kind"] == "Node"
    }
    assert shown["w"]["metadata"]["labels"]["kubernetes.io/os"] == "windows"
    assert shown["l"]["metadata"]["labels"]["kubernetes.io/hostname"] == "l"


def affinity(*terms: Object) -> Object:
    """Required node affinity of these terms."""
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}
    return {"nodeAffinity": required}


def test_required_node_affinity_is_obeyed() -> None:
    """Terms are alternatives, expressions and fields of one are not."""
    nodes = (node("a", disk="ssd"), node("b"), node("c", disk="hdd"))
    fast = {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}
    last = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["c"]}]}
    daemons = selecting(deployment("log", 1, kind="DaemonSet"), affinity=affinity(fast, last))
    assert placements(*nodes, daemons) == [("log-a", "a"), ("log-c", "c")]
    bare = {"matchExpressions": [{"key": "disk", "operator": "DoesNotExist"}]}
    assert placements(*nodes, selecting(deployment("web", 1), affinity=affinity(bare))) == [("web-0", "b")]


def test_taints_keep_pods_away_that_do_not_tolerate_them() -> None:
    """A control plane's node has its DaemonSets' pods alone, if they say so."""
    control = node("a")
    control["spec"]["taints"] = [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]
    everywhere = selecting(deployment("log", 1, kind="DaemonSet"), tolerations=[{"operator": "Exists"}])
    placed = placements(
        control, node("b"), everywhere, deployment("cni", 1, kind="DaemonSet"), deployment("web", 2)
    )
    assert placed == [("cni-b", "b"), ("log-a", "a"), ("log-b", "b"), ("web-0", "b"), ("web-1", "b")]


def test_pods_that_no_node_suits_are_pending_and_told() -> None:
    """One line for a workload; the pods are shown to the agents as pending, without an address."""
    gone = selecting(deployment("web", 3), nodeSelector={"disk": "tape"})
    made = made_of(gone, pod("x"))
    assert [each.place.name for each in made.plan.pods] == ["x"]
    assert made.notes == (
        "3 pods of Deployment shop/web are on no Node, and pending: spec.nodeSelector: no Node has these labels",
    )
    shown = [each for each in published(made.objects, made.plan) if each["metadata"]["name"].startswith("web-")]
    assert [each["status"] for each in shown] == [{"phase": "Pending"}] * 3


def test_status_names_pending_pods(lab: Lab) -> None:
    """And a node that suits them takes them away from there."""
    lab.do(
        "up", "-f", lab.file(selecting(deployment("web", 1), nodeSelector={"disk": "tape"})), "--driver", "plain"
    )
    assert lab.status()["pending"] == ["shop/web-0"]
    lab.do("apply", "-f", lab.file(node("n1"), node("n3", disk="tape")))
    now = lab.status()
    assert (now["pending"], [(each["pod"], each["node"]) for each in now["pods"]]) == ([], [("shop/web-0", "n3")])


def test_a_daemon_set_without_pods_says_so() -> None:
    """In a line, with the field."""
    gone = selecting(deployment("log", 1, kind="DaemonSet"), nodeSelector={"disk": "tape"})
    (note,) = made_of(gone).notes
    assert note == "DaemonSet shop/log has no pod: spec.template.spec.nodeSelector: no Node has these labels"


def test_a_bad_wish_is_refused_by_field() -> None:
    """What an API server would not take."""
    bad = selecting(
        deployment("web", 1), affinity=affinity({"matchExpressions": [{"key": "x", "operator": "Is"}]})
    )
    with pytest.raises(ManifestError, match=r"Pod shop/web-0: spec\.affinity\..*operator"):
        made_of(bad)


def test_host_network_pods_go_where_their_ports_are_free() -> None:
    """And the one too many is pending."""
    proxies = selecting(deployment("proxy", 3), hostNetwork=True)
    made = made_of(pod("here", on="n1", host=True), proxies)
    assert [(each.place.name, each.node) for each in made.plan.pods] == [("here", "n1"), ("proxy-0", "n2")]
    assert made.notes[0].startswith(
        "2 pods of Deployment shop/proxy are on no Node, and pending: spec.hostNetwork"
    )


def test_what_is_not_served_is_told_once() -> None:
    """By object and field; of a workload's pods once for all."""
    sticky = service("web", type="NodePort", sessionAffinity="ClientIP")
    ports = [{"containerPort": 80, "hostPort": 8080}]
    exposed = selecting(deployment("web", 2), containers=[{"name": "c", "ports": ports}])
    lines = [line for _, line in made_of(sticky, exposed, service("plain")).not_served]
    fields = [tuple(line.split(": ")[:3]) for line in lines]
    assert sorted(fields) == [
        ("not served", "Deployment shop/web", "spec.containers[0].ports[0].hostPort"),
        ("not served", "Service shop/web", "spec.sessionAffinity"),
        ("not served", "Service shop/web", "spec.type"),
    ]


def test_two_daemon_sets_may_want_one_port_of_the_node() -> None:
    """The first one has it; the other's pods are pending, and all else comes up."""
    both = [selecting(deployment(name, 1, kind="DaemonSet"), hostNetwork=True) for name in ("first", "other")]
    made = made_of(*both, deployment("web", 1))
    assert [each.place.name for each in made.plan.pods] == ["first-n1", "first-n2", "web-0"]
    assert made.notes[0].startswith("2 pods of DaemonSet shop/other are on no Node, and pending: spec.hostNetwork")


def test_a_cordon_keeps_all_away_but_daemon_sets() -> None:
    """And those who tolerate it."""
    cordoned = node("a")
    cordoned["spec"]["unschedulable"] = True
    assert placements(cordoned, deployment("log", 1, kind="DaemonSet"), deployment("web", 1)) == [("log-a", "a")]
    tolerant = selecting(deployment("web", 1), tolerations=[{"operator": "Exists"}])
    assert placements(cordoned, tolerant) == [("web-0", "a")]


# Kinds


def test_kinds_that_are_not_used_are_skipped_and_counted(tmp_path: Path) -> None:
    """Those of Kubernetes itself and everybody's own, in one line."""
    reading = read_from(
        tmp_path,
        named("ConfigMap", "a"),
        named("ConfigMap", "b"),
        named("ValidatingWebhookConfiguration", "hook", "admissionregistration.k8s.io/v1"),
        named("Lease", "leader", "coordination.k8s.io/v1"),
        named("ServiceMonitor", "web", "monitoring.example.com/v1"),
        named("Secret", "old"),
        pod("x"),
    )
    assert [each.data["metadata"]["name"] for each in reading.documents] == ["x"]
    assert reading.notes == (
        "skipped 6 objects of 5 kinds that the lab does not use: "
        "ConfigMap (2), Lease, Secret, ServiceMonitor, ValidatingWebhookConfiguration",
    )


@pytest.mark.parametrize("kind", ["pod", "Pods", "Servise", "NetworkPolicies", "Deploymnet"])
def test_a_misspelt_kind_is_refused(tmp_path: Path, kind: str) -> None:
    """It would be missed."""
    reading = read_from(tmp_path, named(kind, "x"))
    with pytest.raises(ManifestError, match=f"'{kind}' is not a kind that is used here"):
        understood(reading.documents, Plan(), {})


@pytest.mark.parametrize(("kind", "api"), [("NetworkPolicy", "projectcalico.org/v3"), ("Job", "batch.example/v1")])
def test_others_objects_with_our_names_are_refused(tmp_path: Path, kind: str, api: str) -> None:
    """By their version: they are not what they seem."""
    reading = read_from(tmp_path, named(kind, "x", api))
    with pytest.raises(ManifestError, match=f"{kind} default/x: apiVersion: .*{api}"):
        understood(reading.documents, Plan(), {})


# Metadata


def test_a_file_may_leave_the_namespace_to_the_command(tmp_path: Path) -> None:
    """As with `kubectl -n`; what names one keeps it, and a cluster's own objects have none."""
    bare, said = deployment("web", 1), pod("x")
    del bare["metadata"]["namespace"]
    reading = read_from(tmp_path, bare, said, named("Namespace", "argo"), namespace="argo")
    assert [str(docs.ref(each)) for each in reading.documents] == [
        "Deployment argo/web",
        "Pod shop/x",
        "Namespace argo",
    ]


def test_a_generated_name_is_the_same_in_each_command(tmp_path: Path) -> None:
    """So that `delete` finds what `apply` made; other content has another name."""
    nameless = pod("x")
    nameless["metadata"] |= {"name": "", "generateName": "x-"}
    other = {**nameless, "spec": {**nameless["spec"], "nodeName": "n2"}}
    first, second = (docs.ref(each).name for each in read_from(tmp_path, nameless, other).documents)
    assert docs.ref(read_from(tmp_path, nameless).documents[0]).name == first
    assert first != second
    assert {len(first), first[:2]} == {7, "x-"}


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    """It is no fault, but hardly what was meant."""
    assert docs.read([tmp_path]).notes == (f"{tmp_path}: is empty: there is no file *.yaml, *.yml, *.json in it",)


# Controllers


def test_endpoints_of_a_service_without_a_selector_count() -> None:
    """As slices of each family; those of a Service that selects pods are its controller's."""
    subset = {
        "addresses": [{"ip": "192.0.2.1"}, {"ip": "2001:db8::1"}],
        "notReadyAddresses": [{"ip": "192.0.2.2"}],
        "ports": [{"port": 5432}],
    }
    endpoints = [
        {
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": {"namespace": "shop", "name": name},
            "subsets": [subset],
        }
        for name in ("db", "web")
    ]
    made = made_of(service("db", selector=None), service("web"), *endpoints)
    slices = [each for each in made.objects if each["kind"] == "EndpointSlice"]
    assert [each["metadata"]["labels"]["kubernetes.io/service-name"] for each in slices] == ["db", "db"]
    shown = [[(end["addresses"], end["conditions"]["ready"]) for end in each["endpoints"]] for each in slices]
    assert shown == [[(["192.0.2.1"], True), (["192.0.2.2"], False)], [(["2001:db8::1"], True)]]


def owned(child: Object, kind: str, name: str, **labels: str) -> Object:
    """The object as a controller made it."""
    child["metadata"]["ownerReferences"] = [
        {"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "u", "controller": True}
    ]
    child["metadata"].setdefault("labels", {}).update(labels)
    return child


def test_pods_that_are_there_are_not_made_again() -> None:
    """`kubectl get all`: Deployment, ReplicaSet and their pods are two pods, not six."""
    pods = [owned(pod(f"web-5d-{tail}"), "ReplicaSet", "web-5d") for tail in "ab"]
    replicas = owned(deployment("web-5d", 2, kind="ReplicaSet"), "Deployment", "web")
    replicas["metadata"]["uid"] = "another"  # as in a file that somebody put together
    assert [name for name, _ in placements(deployment("web", 2), replicas, *pods)] == ["web-5d-a", "web-5d-b"]


def test_the_replica_set_between_may_be_missing() -> None:
    """`kubectl get deployments,pods`: its name follows from the pods' hash."""
    pods = [owned(pod(f"web-5d-{tail}"), "ReplicaSet", "web-5d", **{"pod-template-hash": "5d"}) for tail in "ab"]
    assert [name for name, _ in placements(deployment("web", 2), *pods)] == ["web-5d-a", "web-5d-b"]


def test_without_pods_the_topmost_controller_makes_them() -> None:
    """A Deployment and its ReplicaSets, old ones included, are one Deployment's pods."""
    sets = [owned(deployment(f"web-{n}", n, kind="ReplicaSet"), "Deployment", "web") for n in (0, 2)]
    assert [name for name, _ in placements(deployment("web", 2), *sets)] == ["web-0", "web-1"]


def test_a_job_has_as_many_pods_as_it_has_to_run() -> None:
    """None when it is suspended or done."""

    def job(**spec: Any) -> Object:
        made = deployment("once", 1, kind="Job") | {"apiVersion": "batch/v1"}
        made["spec"] |= spec
        return made

    assert len(placements(job(parallelism=3, completions=2))) == 2
    assert placements(job(suspend=True)) == []
    done = job() | {"status": {"conditions": [{"type": "Complete", "status": "True"}]}}
    assert placements(done) == []


def test_a_sidecars_port_is_answered() -> None:
    """An init container that is always restarted serves as long as its pod."""
    served = pod("x")
    sidecar = {"name": "mesh", "restartPolicy": "Always", "ports": [{"containerPort": 15090}]}
    served["spec"]["initContainers"] = [{"name": "first", "ports": [{"containerPort": 1}]}, sidecar]
    (planned,) = made_of(served).plan.pods
    assert [port.number for port in planned.ports] == [80, 15090]
