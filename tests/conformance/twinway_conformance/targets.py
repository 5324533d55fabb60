"""The targets of a run: drivers, pod devices and address families."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

DEVICES = ("veth", "macvlan", "ipvlan")
FAMILIES = {"4": (4,), "6": (6,), "dual": (4, 6)}


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """One driver on one kind of pod device, in a cluster of one or both address families."""

    driver: str
    device: str
    family: str

    @property
    def families(self) -> tuple[int, ...]:
        """The IP versions of pods and Services."""
        return FAMILIES[self.family]

    def __str__(self) -> str:
        """`tc-veth-dual`, as in the names of tests."""
        return f"{self.driver}-{self.device}-{self.family}"


def targets(drivers: Iterable[str], devices: Iterable[str], families: Iterable[str]) -> list[Target]:
    """Every combination. Families vary fastest, so that labs are replaced as rarely as possible."""
    return [Target(*each) for each in product(drivers, devices, families)]


def dealt(seeds: range, chosen: Sequence[Target]) -> dict[Target, range]:
    """
    The seeds of each target, dealt in order: of 500 seeds, each of 4 targets has 125 of its own.

    If there are fewer seeds than targets, more are added until each target has one.
    """
    every = range(seeds.start, seeds.start + max(len(seeds), len(chosen)))
    return {target: every[index :: len(chosen)] for index, target in enumerate(chosen)}
