"""Which policies select which pods of this node."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from twinway.compute.labels import namespace_labels
from twinway.compute.policy.plan import Selected, ingress_names
from twinway.model.cluster import Cluster, Namespace, Pod
from twinway.model.difference import difference, unchanged
from twinway.model.net import ObjectRef
from twinway.model.policy import ClusterPolicy, NetworkPolicy

_Namespaced = tuple[NetworkPolicy, ...]
_ClusterWide = tuple[ClusterPolicy, ...]


@dataclass(frozen=True, slots=True)
class _Asked:
    # A pod's answer, and what it was made of: while these are the same objects, it holds.
    pod: Pod
    namespace: Namespace | None
    policies: _Namespaced
    cluster: _ClusterWide
    selected: Selected


class Selection:
    """What selects each pod, asked again only where something changed."""

    def __init__(self) -> None:
        """Nothing is known."""
        self._all: Mapping[ObjectRef, NetworkPolicy] = {}
        self._of_namespace: dict[str, _Namespaced] = {}
        self._all_cluster: Mapping[ObjectRef, ClusterPolicy] = {}
        self._cluster: _ClusterWide = ()
        self._namespaces: Mapping[ObjectRef, Namespace] = {}
        self._asked: dict[ObjectRef, _Asked] = {}

    def update(self, cluster: Cluster, pods: Mapping[ObjectRef, object]) -> dict[ObjectRef, Selected]:
        """
        For each of these pods the policies that select it.

        Pods that are not known, and those on their node's network, are left out: no policy selects
        them. A pod's answer is the same object as before where nothing changed.
        """
        known = self._asked if self._is_as_before(cluster) else {}
        self._sort(cluster)
        asked: dict[ObjectRef, _Asked] = {}
        for ref in pods:
            pod, before = cluster.pods.get(ref), known.get(ref)
            if before is not None and before.pod is pod:
                asked[ref] = before
            elif pod is not None and not pod.host_network:
                asked[ref] = self._ask(cluster, ref)
        self._asked = asked
        return {ref: each.selected for ref, each in asked.items()}

    def _is_as_before(self, cluster: Cluster) -> bool:
        # Then a pod that is the same object is selected as before. Most changes are of this kind.
        before, self._namespaces = self._namespaces, cluster.namespaces
        return (
            before is cluster.namespaces
            and self._all is cluster.policies
            and self._all_cluster is cluster.cluster_policies
        )

    def _sort(self, cluster: Cluster) -> None:
        gone, come = difference(self._all, cluster.policies)
        self._all = cluster.policies
        names = {policy.ref.namespace for policy in (*gone, *come)}
        found: dict[str, list[NetworkPolicy]] = defaultdict(list)
        for policy in cluster.policies.values() if names else ():
            if policy.ref.namespace in names:
                found[policy.ref.namespace].append(policy)
        for name in names:
            self._of_namespace[name] = tuple(sorted(found[name], key=lambda policy: policy.ref))
            if not found[name]:
                del self._of_namespace[name]
        if not unchanged(self._all_cluster, cluster.cluster_policies):
            self._all_cluster = cluster.cluster_policies
            self._cluster = tuple(sorted(cluster.cluster_policies.values(), key=_order))

    def _ask(self, cluster: Cluster, ref: ObjectRef) -> _Asked:
        pod = cluster.pods[ref]
        namespace = cluster.namespaces.get(ObjectRef("Namespace", "", ref.namespace))
        policies = self._of_namespace.get(ref.namespace, ())
        known = self._asked.get(ref)
        if (
            known is not None
            and known.pod is pod
            and known.namespace is namespace
            and known.policies is policies
            and known.cluster is self._cluster
        ):
            return known
        labels = namespace_labels(cluster.namespaces, ref.namespace)
        selecting = tuple(policy for policy in policies if policy.pods.matches(pod.labels))
        wide = tuple(policy for policy in self._cluster if _subject(policy, labels, pod.labels))
        names = ingress_names(selecting, wide)
        ports = tuple(sorted({port for port in pod.ports if port.name in names}, key=str))
        return _Asked(pod, namespace, policies, self._cluster, Selected(selecting, wide, ports))


def _order(policy: ClusterPolicy) -> tuple[int, str, str]:
    return policy.priority, policy.ref.name, policy.ref.kind


def _subject(policy: ClusterPolicy, namespace: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    subject = policy.subject
    # A cluster-wide policy has no namespace of its own; the decoder always gives a selector.
    namespaces = subject.namespaces is None or subject.namespaces.matches(namespace)
    return namespaces and subject.pods.matches(labels)
