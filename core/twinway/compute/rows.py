"""The table of classes while it is worked on: a row for each prefix, in columns that only grow or swap."""

from __future__ import annotations

from dataclasses import dataclass

from twinway.model.net import IPNetwork
from twinway.model.node import NO_CLASS, ClassId
from twinway.model.prefixes import PrefixClasses


@dataclass(slots=True, eq=False)
class Row:
    """The row of one prefix: where it stands in the columns, now."""

    network: IPNetwork
    at: int


class Rows:
    """Rows by prefix; `ids` has the class of each at its place, `NO_CLASS` where the table lacks it."""

    def __init__(self) -> None:
        """No row."""
        self.ids: list[ClassId] = []
        self.touched: list[int] = []
        """Places at which something may be else than in the last answer of `table`; who writes to `ids` tells."""
        self.changed = False
        """Whether `ids` may say something else; who writes to it tells."""
        self._rows: list[Row] = []
        self._networks: list[IPNetwork] = []
        self._by_network: dict[IPNetwork, Row] = {}
        self._moved = False  # whether networks are others than those of the last answer
        self._table = PrefixClasses()

    def row(self, network: IPNetwork) -> Row:
        """The row of a prefix; a new one has no class yet."""
        found = self._by_network.get(network)
        if found is None:
            found = self._by_network[network] = Row(network, len(self._rows))
            self._rows.append(found)
            self._networks.append(network)
            self.touched.append(found.at)
            self.ids.append(NO_CLASS)
            self._moved = True
        return found

    def drop(self, row: Row) -> None:
        """Have no such row any more, which has no class; the last one takes its place."""
        last, network, id_ = self._rows.pop(), self._networks.pop(), self.ids.pop()
        if last is not row:
            at = last.at = row.at
            self._rows[at], self._networks[at], self.ids[at] = last, network, id_
            self.touched.append(at)
        del self._by_network[row.network]
        self._moved = True

    def table(self) -> PrefixClasses:
        """What the rows say; the very same as before where that is nothing new."""
        if self.changed:
            self.changed = False
            networks = tuple(self._networks) if self._moved else self._table.networks
            ids = tuple(self.ids)
            if self._moved or ids != self._table.ids:
                changed = sorted(at for at in set(self.touched) if at < len(ids))
                self._table = PrefixClasses(networks, ids, since=self._table, changed=changed)
            self._moved = False
            self.touched.clear()
        return self._table
