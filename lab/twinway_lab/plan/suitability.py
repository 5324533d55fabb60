"""
Which nodes suit a pod: `spec.nodeSelector`, required node affinity, taints and cordons.

What a scheduler weighs beside (affinity between pods, topology spread, resources) does not count in a lab.

Source: k8s.io/component-helpers/scheduling/corev1 (node affinity, tolerations).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from twinway.model.net import ObjectRef, Rejected
from twinway.sources.decode.fields import Labels, ListOf, Schema, read

Operator = Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
NO_LABELS = "spec.nodeSelector: no Node has these labels"
NOT_MEANT = "spec.affinity.nodeAffinity: matches no Node"
CORDONED = "spec.tolerations: the Nodes that match are unschedulable"
TAINTED = "spec.tolerations: the Nodes that match have taints that it does not tolerate"
_NEAREST = (NO_LABELS, NOT_MEANT, CORDONED, TAINTED)
"""What keeps a pod away, in the order in which it is asked."""
_OF_KUBELETS = "node.kubernetes.io/"
_KEEPS_AWAY = ("NoSchedule", "NoExecute")


class _Expression(Schema):
    key: str
    operator: Operator
    values: ListOf[str] = ()


class _Term(Schema):
    match_expressions: ListOf[_Expression] = ()
    match_fields: ListOf[_Expression] = ()


class _Required(Schema):
    node_selector_terms: ListOf[_Term] = ()


class _NodeAffinity(Schema):
    required: _Required | None = Field(None, alias="requiredDuringSchedulingIgnoredDuringExecution")


class _Affinity(Schema):
    node_affinity: _NodeAffinity | None = None


class _Toleration(Schema):
    key: str | None = None
    operator: str | None = None
    value: str | None = None
    effect: str | None = None


class Wishes(Schema):
    """What a pod's spec asks of its node."""

    node_selector: Labels = Field(default_factory=dict)
    affinity: _Affinity | None = None
    tolerations: ListOf[_Toleration] = ()


class _Taint(Schema):
    key: str
    value: str | None = None
    effect: str


_CORDON = _Taint(key=f"{_OF_KUBELETS}unschedulable", effect="NoSchedule")


class _NodeSpec(Schema):
    taints: ListOf[_Taint] = ()
    unschedulable: bool | None = None


class Candidate:
    """A node as a scheduler looks at it."""

    def __init__(self, name: str, labels: Mapping[str, str], spec: _NodeSpec) -> None:
        """A node by name, with its labels and what its spec keeps away."""
        self.name, self.labels, self._spec = name, labels, spec

    def misfit(self, wishes: Wishes, *, daemon: bool = False) -> str | None:
        """
        The field that keeps such a pod away, and why; None where the node suits.

        A DaemonSet's pods tolerate what kubelets and cordons say of a node.
        """
        if not wishes.node_selector.items() <= self.labels.items():
            return NO_LABELS
        affinity = wishes.affinity.node_affinity if wishes.affinity else None
        if affinity and affinity.required and not self._is_meant(affinity.required):
            return NOT_MEANT
        if self._spec.unschedulable and not _is_tolerated(_CORDON, wishes.tolerations, daemon=daemon):
            return CORDONED
        if not all(_is_tolerated(taint, wishes.tolerations, daemon=daemon) for taint in self._spec.taints):
            return TAINTED
        return None

    def _is_meant(self, required: _Required) -> bool:
        return any(self._matches(term) for term in required.node_selector_terms)

    def _matches(self, term: _Term) -> bool:
        if not term.match_expressions and not term.match_fields:
            return False  # an empty term selects nothing
        fields = {"metadata.name": self.name}
        return all(_holds(each, self.labels) for each in term.match_expressions) and all(
            _holds(each, fields) for each in term.match_fields
        )


def why_nowhere(misfits: Sequence[str | None]) -> str:
    """The one reason to tell where no node suits: that of the nodes that came nearest to it."""
    reasons = [each for each in misfits if each is not None]
    known = [each for each in _NEAREST if each in reasons]
    return known[-1] if known else next(iter(reasons), "spec: there is no Node")


def candidate(node: Mapping[str, Any], ref: ObjectRef) -> tuple[Candidate | None, tuple[Rejected, ...]]:
    """A Node to a scheduler, or what is wrong with its spec."""
    spec, rejected = read(_NodeSpec, node.get("spec") or {}, ref, at="spec")
    if spec is None:
        return None, rejected
    return Candidate(ref.name, node["metadata"].get("labels") or {}, spec), ()


def wishes(
    spec: Mapping[str, Any], ref: ObjectRef, at: str = "spec"
) -> tuple[Wishes | None, tuple[Rejected, ...]]:
    """What a pod's spec asks for, or what is wrong with it."""
    return read(Wishes, spec, ref, at=at)


def _holds(expression: _Expression, labels: Mapping[str, str]) -> bool:
    value = labels.get(expression.key)
    match expression.operator:
        case "In":
            return value in expression.values
        case "NotIn":
            return value not in expression.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case _:
            return _compares(value, expression)


def _compares(value: str | None, expression: _Expression) -> bool:
    try:
        mine, (other,) = int(value or ""), map(int, expression.values)
    except ValueError:
        return False
    return mine > other if expression.operator == "Gt" else mine < other


def _is_tolerated(taint: _Taint, tolerations: Sequence[_Toleration], *, daemon: bool) -> bool:
    if taint.effect not in _KEEPS_AWAY or (daemon and taint.key.startswith(_OF_KUBELETS)):
        return True
    return any(_tolerates(each, taint) for each in tolerations)


def _tolerates(toleration: _Toleration, taint: _Taint) -> bool:
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    if toleration.operator == "Exists":
        return True
    return bool(toleration.key) and (toleration.value or "") == (taint.value or "")
