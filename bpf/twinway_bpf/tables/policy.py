"""
Policy in the kernel: classes of addresses, verdicts of policy sets, and the switch of pods to them.

A class entry holds two generations. A change fills the generation that no pod uses, writes the verdicts of policy
sets for classes that are new in it, and only then switches each pod, in one write of its own, to its new set *and*
to the other generation. So the old state or the new one judges a packet, never a mixture.

The generation that pods left is brought up to date later: by `catch_up` when the agent has nothing else to do, or
at the beginning of the next change, which then takes longer. Where many prefixes ended, the same holds for their
removal.
"""

from __future__ import annotations

from twinway.model.node import PolicyState
from twinway_bpf.load.maps import Map
from twinway_bpf.tables.generations import ClassGenerations
from twinway_bpf.tables.sync import Step
from twinway_bpf.tables.verdicts import VerdictSets

ENDED_AT_ONCE = 256
"""
The number of ended prefixes that `settle` removes, because a trie has no batched removal.

`catch_up` or the next change removes the others.
"""


class PolicyTables:
    """tw_class and tw_verdict. `prepare` writes what is new, `settle` removes what is unused."""

    def __init__(self, classes: Map, verdicts: Map) -> None:
        self._classes = ClassGenerations(classes)
        self._sets = VerdictSets(verdicts)
        self._settled: PolicyState | None = None
        self.generation = 0
        """The generation that pods use."""
        self.mixed = False
        """Whether some pods use the other generation: an earlier process ended while it switched them."""
        self._unseen = False  # no pod uses either generation

    def adopt(self, generations: frozenset[int]) -> None:
        """
        Read the entries that an earlier process left, whose pods use `generations`.

        If these are two, the process ended while it switched pods, and neither generation is unused.
        """
        self._settled = None
        self.generation = min(generations, default=0)
        self.mixed = len(generations) > 1
        self._unseen = not generations
        self._classes.adopt()
        self._sets.adopt()

    def completes(self, policy: PolicyState) -> int | None:
        """The generation that holds exactly `policy`, if the tables have all of its verdicts; else None."""
        if self._sets.missing(policy).writes:
            return None
        return next((g for g in (0, 1) if self._classes.holds(policy.classes, g)), None)

    def prepare(self, policy: PolicyState) -> tuple[Step, int]:
        """
        Write what pods need before they switch to `policy`. The policy in force does not change.

        Returns what was written, and the generation to switch to. An unchanged policy writes nothing, and new sets
        for the same classes need no other generation.
        """
        if policy is self._settled:
            return Step(), self.generation
        step = Step(0, self._ended())
        self._settled = None
        step += self._sets.write(self._sets.missing(policy))
        if not self.mixed and self._classes.holds(policy.classes, self.generation):
            return step, self.generation
        if self._unseen:
            return step + Step(self._classes.fill(policy.classes, None)), self.generation
        return step + Step(self._classes.fill(policy.classes, self.generation)), 1 - self.generation

    def switched(self, generation: int) -> None:
        """Note that every pod uses `generation` now."""
        self.generation = generation
        self.mixed = self._unseen = False

    def catch_up(self) -> Step:
        """Fill the unused generation with the policy in force, and sweep, so that the next change is shorter."""
        if self._settled is None or self.mixed or self._unseen:
            return Step()
        removed = self._ended() + self._sets.clear()
        return Step(self._classes.fill(self._settled.classes, self.generation), removed)

    def settle(self, policy: PolicyState) -> Step:
        """Remove some of the prefixes that `policy` lacks, and of the verdicts that no pod uses any more."""
        self._settled = policy
        return Step(0, self._classes.settle(policy.classes, ENDED_AT_ONCE)) + self._sets.sweep(policy)

    # Removes the ended prefixes that the last `settle` left.
    def _ended(self) -> int:
        return self._classes.settle(self._settled.classes) if self._settled is not None else 0
