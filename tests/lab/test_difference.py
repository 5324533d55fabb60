"""A change of plan: who goes, who comes, who is left alone."""

from __future__ import annotations

from tests.lab.objects import Object, documents, node, pod
from twinway_lab.objects.objects import understood
from twinway_lab.plan.difference import Difference, difference
from twinway_lab.plan.plan import NodePlan, Plan, PodPlan


def plan(*objects: Object) -> Plan:
    """The plan for these objects."""
    return understood(documents(*objects), Plan(), {}).plan


def step(*before: Plan, to: Plan, broken: tuple[str, ...] = ()) -> Difference:
    """The difference, where pods named in `broken` are not wired as planned."""

    def whole(each: PodPlan, _: NodePlan) -> bool:
        return each.place.name not in broken

    return difference(before, to, whole)


def names(pods: tuple[PodPlan, ...]) -> list[str]:
    """The pods' names."""
    return [each.place.name for each in pods]


OLD = plan(pod("a", on="n1"), pod("b", on="n2"))


def test_nothing_changed_nothing_to_do() -> None:
    """All steps are empty."""
    assert step(OLD, to=OLD) == Difference((), (), (), (), ())


def test_only_what_differs_is_touched() -> None:
    """A pod that went, one that came; the third stays."""
    made = step(OLD, to=plan(pod("a", on="n1"), pod("c", on="n2")))
    assert [each.place.name for each, _ in made.gone_pods] == ["b"]
    assert names(made.new_pods) == ["c"]
    assert not made.new_nodes
    assert not made.gone_nodes


def test_another_address_is_another_pod() -> None:
    """It goes and comes."""
    made = step(OLD, to=plan(pod("a", "10.244.1.77", on="n1"), pod("b", on="n2")))
    assert [each.place.name for each, _ in made.gone_pods] == names(made.new_pods) == ["a"]


def test_other_ports_leave_the_network_alone() -> None:
    """The pod stays and answers elsewhere."""
    made = step(OLD, to=plan(pod("a", on="n1", tcp=8080), pod("b", on="n2")))
    assert (made.gone_pods, made.new_pods) == ((), ())
    assert names(made.other_ports) == ["a"]


def test_a_changed_node_takes_its_pods_along() -> None:
    """Both are made anew."""
    before = plan(node("n1"), node("n2"), pod("a", on="n1"), pod("b", on="n2"))
    made = step(before, to=plan(node("n1", "192.168.0.1"), node("n2"), pod("a", on="n1"), pod("b", on="n2")))
    assert [each.name for each in made.gone_nodes] == [each.name for each in made.new_nodes] == ["n1"]
    assert names(made.new_pods) == ["a"]


def test_after_a_command_that_died_nothing_is_taken_for_granted() -> None:
    """What is not wired as planned is made anew; what the dead command had begun goes."""
    begun = plan(pod("a", on="n1"), pod("b", on="n2"), pod("c", on="n1"))
    made = step(OLD, begun, to=OLD, broken=("b",))
    assert {each.place.name for each, _ in made.gone_pods} == {"b", "c"}
    assert names(made.new_pods) == ["b"]
