"""The objects that agents read: the user's, completed as the components of a real cluster would."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from twinway.model.net import Family, IPAddress, NodeName, ObjectRef
from twinway.sources.decode.metadata import ref_of
from twinway.sources.decode.pod import FINISHED
from twinway_lab.names import Place, pod_place
from twinway_lab.objects import nodelabels
from twinway_lab.objects.raw import Object, section
from twinway_lab.plan.plan import NodePlan, Plan, PodPlan


def published(objects: Sequence[Object], plan: Plan, waiting: Collection[Place] = ()) -> list[Object]:
    """
    The objects with all that the plan says written into them, and those the user left out.

    Pods in `waiting` are not ready yet, whatever they say.
    """
    pods = {pod.place: pod for pod in plan.pods}
    nodes = {node.name: node for node in plan.nodes}
    known = {object_["metadata"]["name"] for object_ in objects if object_["kind"] == "Node"}
    bare = [nodelabels.bare(node.name) for node in plan.nodes if node.name not in known]
    completed: list[Object] = [_node(each, plan) if each["kind"] == "Node" else each for each in (*bare, *objects)]
    spaces = [_namespace(name) for name in sorted(_missing_namespaces(objects))]
    return [
        _pod(each, pods.get(place), nodes, ready=place not in waiting)
        if each["kind"] == "Pod" and (place := _place(each))
        else each
        for each in (*spaces, *completed)
    ]


def _namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _missing_namespaces(objects: Iterable[Object]) -> set[str]:
    refs = [ref_of(each, namespaced=True) for each in objects]
    return {ref.namespace for ref in refs if ref.kind in ("Pod", "Service")} - {
        ref.name for ref in refs if ref.kind == "Namespace"
    }


def _place(pod: Object) -> Place:
    ref: ObjectRef = ref_of(pod, namespaced=True)
    return pod_place(ref.namespace, ref.name)


def _node(node: Object, plan: Plan) -> Object:
    planned = plan.node(node["metadata"]["name"])
    if planned is None:
        return node
    spec, status = section(node, "spec"), section(node, "status")
    cidrs = [str(block) for block in planned.pod_cidrs]
    said = list(status.get("addresses") or ())
    known = {each["address"] for each in said}
    said += [{"type": "InternalIP", "address": str(own)} for own in planned.addresses if str(own) not in known]
    return {
        **node,
        "spec": {**spec, "podCIDR": cidrs[0], "podCIDRs": cidrs},
        "status": {**status, "addresses": said},
    }


def _pod(pod: Object, plan: PodPlan | None, nodes: Mapping[NodeName, NodePlan], *, ready: bool) -> Object:
    status = section(pod, "status")
    if plan is None:
        return pod if status.get("phase") in FINISHED else {**pod, "status": {"phase": "Pending"}}
    conditions = [each for each in status.get("conditions") or () if ready or each.get("type") != "Ready"]
    if not any(each.get("type") == "Ready" for each in conditions):
        conditions.append({"type": "Ready", "status": "True" if ready else "False"})
    ips = [{"ip": str(address)} for address in plan.addresses]
    hosts = [{"ip": str(address)} for address in _firsts(nodes[plan.node])]
    given = {"phase": "Running", **status, "conditions": conditions}
    given |= {"podIP": ips[0]["ip"], "podIPs": ips} if ips else {}
    given |= {"hostIP": hosts[0]["ip"], "hostIPs": hosts} if hosts else {}
    return {**pod, "spec": {**pod["spec"], "nodeName": plan.node}, "status": given}


def _firsts(node: NodePlan) -> Iterator[IPAddress]:
    return (address for family in Family if (address := node.address(family)) is not None)
