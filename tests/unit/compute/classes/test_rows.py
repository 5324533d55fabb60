"""The columns of the class table: what an earlier answer says for ever, and who keeps its place."""

from __future__ import annotations

from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st

from twinway.compute.classes.rows import Rows
from twinway.model.net import IPNetwork
from twinway.model.node import NO_CLASS, ClassId
from twinway.model.prefixes import PrefixClasses

NETWORKS = [ip_network(f"10.0.{number}.0/24") for number in range(6)]
steps = st.tuples(st.sampled_from(NETWORKS), st.integers(0, 2).map(ClassId))


def put(rows: Rows, network: IPNetwork, id_: ClassId) -> None:
    """As the class table does it: what has no class loses its row."""
    row = rows.row(network)
    rows.ids[row.at] = id_
    rows.touched.append(row.at)
    rows.changed = True
    if id_ == NO_CLASS:
        rows.leave(row)


@given(st.lists(st.lists(steps, max_size=4), max_size=8))
def test_an_answer_is_a_value(history: list[list[tuple[IPNetwork, ClassId]]]) -> None:
    """Each says what was put until then, and still does after all that comes later."""
    rows, expected = Rows(), dict[IPNetwork, ClassId]()
    answers: list[tuple[PrefixClasses, dict[IPNetwork, ClassId]]] = []
    for step in history:
        for network, id_ in step:
            put(rows, network, id_)
            expected[network] = id_
        said = {network: id_ for network, id_ in expected.items() if id_ != NO_CLASS}
        answers.append((rows.table(), said))
    for table, said in answers:
        assert table == said == dict(table.items())
        assert len(table) == len(said)
        assert len(set(table.networks)) == len(table.networks) == len(table.ids)


def test_nothing_new_is_the_same_object() -> None:
    """A class that is put again, or put and taken back, makes no other table."""
    rows = Rows()
    put(rows, NETWORKS[0], ClassId(1))
    table = rows.table()
    put(rows, NETWORKS[0], ClassId(2))
    put(rows, NETWORKS[0], ClassId(1))
    assert rows.table() is table


def test_networks_go_on_while_none_comes_or_goes() -> None:
    """Another class leaves that column as it is; a row that goes moves only the last one."""
    rows = Rows()
    for network in NETWORKS:
        put(rows, network, ClassId(1))
    before = rows.table()
    put(rows, NETWORKS[1], ClassId(2))
    assert rows.table().networks is before.networks
    put(rows, NETWORKS[1], NO_CLASS)
    assert rows.table().networks == (NETWORKS[0], NETWORKS[5], *NETWORKS[2:5])
