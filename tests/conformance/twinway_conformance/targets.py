"""What a run is about: drivers, pod devices and address families."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

DEVICES = ("veth", "macvlan", "ipvlan")
FAMILIES = {"4": (4,), "6": (6,), "dual": (4, 6)}


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """One driver on one kind of pod device, in a cluster of one or of both address families."""

    driver: str
    device: str
    family: str

    @property
    def families(self) -> tuple[int, ...]:
        """IP versions that pods and Services have."""
        return FAMILIES[self.family]

    def __str__(self) -> str:
        """`tc-veth-dual`: how tests and tables name it."""
        return f"{self.driver}-{self.device}-{self.family}"


def targets(drivers: Iterable[str], devices: Iterable[str], families: Iterable[str]) -> list[Target]:
    """Every combination, families last, so that labs change as seldom as possible."""
    return [Target(*each) for each in product(drivers, devices, families)]


def dealt(seeds: range, chosen: Sequence[Target]) -> dict[Target, range]:
    """
    Each target's share of the seeds, in turn: of 500 over 4 targets each has 125 that no other has.

    With fewer seeds than targets there are as many more as make one for each.
    """
    every = range(seeds.start, seeds.start + max(len(seeds), len(chosen)))
    return {target: every[index :: len(chosen)] for index, target in enumerate(chosen)}
