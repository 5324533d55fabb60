"""The class table through dense histories: few addresses, which change hands, and blocks that come and go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address, ip_network

from hypothesis import example, given, settings
from hypothesis import strategies as st

from twinway.compute.classes.atoms import EVERY_POD, Atom, AtomId, PodAtom, atom_id
from twinway.compute.classes.classes import ClassTable
from twinway.model.cluster import Cluster, Pod
from twinway.model.net import IPAddress, IPNetwork, NodeName, ObjectRef
from twinway.model.node import ClassId
from twinway.model.policy import Block, Operator, Requirement, Selector

ADDRESSES = (*(ip_address(f"10.0.0.{number}") for number in range(1, 7)), ip_address("fd00::1"))
ATOMS: list[Atom] = [
    EVERY_POD,
    *(PodAtom("shop", Selector(), Selector((Requirement("app", Operator.IN, (app,)),))) for app in ("web", "api")),
    *(Block(ip_network(text), ()) for text in ("10.0.0.0/30", "10.0.0.5/32", "10.0.0.4/31", "192.0.2.0/24")),
    Block(ip_network("10.0.0.0/29"), (ip_network("10.0.0.2/31"),)),
]
Atoms = dict[AtomId, Atom]
Step = tuple[Cluster, Atoms]


def make_pod(number: int, app: str, addresses: tuple[IPAddress, ...], *, terminating: bool = False) -> Pod:
    """A pod of the shop."""
    return Pod(
        ref=ObjectRef("Pod", "shop", f"p{number}"),
        uid=str(number),
        labels={"app": app},
        annotations={},
        node=NodeName("n1"),
        addresses=addresses,
        ports=(),
        host_network=False,
        ready=True,
        terminating=terminating,
        finished=False,
    )


@st.composite
def pods(draw: st.DrawFn, number: int) -> Pod:
    """A pod that has some of the addresses, as others may."""
    app = draw(st.sampled_from(("web", "api", "other")))
    addresses = tuple(draw(st.lists(st.sampled_from(ADDRESSES), max_size=3, unique=True)))
    return make_pod(number, app, addresses, terminating=draw(st.booleans()))


def make_step(pods: Iterable[Pod], atoms: Iterable[Atom]) -> Step:
    """These pods, and these atoms in force."""
    return Cluster("1", pods={pod.ref: pod for pod in pods}), {atom_id(each): each for each in atoms}


@st.composite
def histories(draw: st.DrawFn) -> list[Step]:
    """At each step some pods are other ones or none, and other atoms are in force; often only one of the two."""
    present: dict[int, Pod] = {}
    atoms: list[Atom] = []
    steps: list[Step] = []
    for number in range(draw(st.integers(2, 6))):
        for each in draw(st.sets(st.integers(0, 5), min_size=0 if number else 4, max_size=6 if not number else 2)):
            present.pop(each, None)
            if draw(st.booleans()) or not number:
                present[each] = draw(pods(each))
        if not number or draw(st.booleans()):
            atoms = draw(st.lists(st.sampled_from(ATOMS), unique=True))
        steps.append(make_step(present.values(), atoms))
    return steps


def _said(table: ClassTable) -> Mapping[IPNetwork, ClassId]:
    return dict(table.table)


def two_pods_of_an_address() -> list[Step]:
    """A pod's address becomes another pod's, too, and then a selector comes that matches the first one alone."""
    every, web, api = ATOMS[:3]
    first, second = (make_pod(number, app, ADDRESSES[:1]) for number, app in enumerate(("web", "api")))
    return [
        make_step([first], [every]),
        make_step([first, second], [every, api]),
        make_step([first, second], [every, api, web]),
    ]


@settings(max_examples=400, deadline=None)
@given(histories())
@example(two_pods_of_an_address())
def test_whatever_came_before_the_table_is_the_same(history: list[Step]) -> None:
    """After each step the table is that of a new one, and so are the classes in use."""
    kept = ClassTable()
    for snapshot, atoms in history:
        kept.update(snapshot, {}, atoms)
        fresh = ClassTable()
        fresh.update(snapshot, {}, atoms)
        assert _said(kept) == _said(fresh)
        assert kept.live.keys() == fresh.live.keys() == set(_said(fresh).values())


@settings(max_examples=200, deadline=None)
@given(histories())
def test_a_table_knows_where_it_is_another(history: list[Step]) -> None:
    """At all other places it has the network and the class that the one before it had."""
    kept = ClassTable()
    before = kept.table
    for snapshot, atoms in history:
        kept.update(snapshot, {}, atoms)
        now = kept.table
        if now is not before:
            changed = now.changed_since(before)
            assert len(set(changed)) == len(changed)
            for at in set(range(len(now.ids))).difference(changed):
                assert (now.networks[at], now.ids[at]) == (before.networks[at], before.ids[at])
            assert all(at < len(now.ids) for at in changed)
        before = now
