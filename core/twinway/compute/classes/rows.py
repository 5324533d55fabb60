"""The table of classes while it is worked on: a row for each prefix, in columns that only grow or swap."""

from __future__ import annotations

from twinway.model.net import IPNetwork
from twinway.model.node import NO_CLASS, ClassId
from twinway.model.prefixes import PrefixClasses


class Row:
    """The row of one prefix: where it stands in the columns, now; nowhere, while that is negative."""

    __slots__ = ("at", "network")

    def __init__(self, network: IPNetwork) -> None:
        """A row that stands nowhere yet."""
        self.network = network
        self.at = -1


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
            found = Row(network)
            self.enter(found)
        return found

    def enter(self, row: Row) -> None:
        """Have this be the row of its prefix: a new one, or in place of the one that is there."""
        known = self._by_network.get(row.network)
        self._by_network[row.network] = row
        if known is not None:
            row.at, known.at = known.at, -1
            self._rows[row.at] = row
            return
        row.at = len(self._rows)
        self._rows.append(row)
        self._networks.append(row.network)
        self.ids.append(NO_CLASS)
        self.touched.append(row.at)
        self._moved = True

    def leave(self, row: Row) -> Row | None:
        """
        Have it be no row any more; where its prefix has a class, another one stands for it.

        Answers the row that moved to its place, if one did.
        """
        at, row.at = row.at, -1
        if self.ids[at] != NO_CLASS:
            other = self._by_network[row.network] = self._rows[at] = Row(row.network)
            other.at = at
            return None
        del self._by_network[row.network]
        last, network, id_ = self._rows.pop(), self._networks.pop(), self.ids.pop()
        self._moved = True
        if last is row:
            return None
        self._rows[at], self._networks[at], self.ids[at] = last, network, id_
        last.at = at
        self.touched.append(at)
        return last

    def table(self) -> PrefixClasses:
        """What the rows say; the very same as before where that is nothing new."""
        if self.changed:
            self.changed = False
            networks = tuple(self._networks) if self._moved else self._table.networks
            ids = tuple(self.ids)
            if self._moved or ids != self._table.ids:
                end = len(ids)
                changed = {at for at in self.touched if at < end}
                self._table = PrefixClasses(networks, ids, since=self._table, changed=changed)
            self._moved = False
            self.touched.clear()
        return self._table
