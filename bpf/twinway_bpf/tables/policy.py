"""
Policy in the kernel: classes of addresses, verdicts of sets, and the moment pods turn to them.

A class entry holds two generations. A change fills the generation that no pod looks at, writes what
sets say of classes that are new in it, and only then lets each pod turn, in one write of its own, to
its new set *and* to the other generation. So a packet is judged by the old state or by the new one,
never by a mixture. The generation that they left lags behind until somebody has time to catch up, or
until the next change, which is the longer for it; and so does what is removed of prefixes that ended,
where they are many.
"""

from __future__ import annotations

from twinway.model.node import PolicyState
from twinway_bpf.load.maps import Map
from twinway_bpf.tables.generations import ClassGenerations
from twinway_bpf.tables.sync import Step
from twinway_bpf.tables.verdicts import VerdictSets

ENDED_AT_ONCE = 256
"""
Prefixes that are over of which the step that ends them removes so many: a trie has no batch for it.

The rest waits until somebody has time, or until the next change, which then has the more to do.
"""


class PolicyTables:
    """tw_class and tw_verdict. `prepare` writes what is new, `settle` removes what nobody uses any more."""

    def __init__(self, classes: Map, verdicts: Map) -> None:
        """The open maps."""
        self._classes = ClassGenerations(classes)
        self._sets = VerdictSets(verdicts)
        self._settled: PolicyState | None = None
        self.generation = 0
        """The generation that pods look at."""
        self.mixed = False
        """Whether some pods look at the other one: an earlier process ended while they were turning."""
        self._unseen = False  # no pod looks at either

    def adopt(self, generations: frozenset[int]) -> None:
        """
        Read back what an earlier process left; its pods look at `generations`.

        Two of them mean that it ended while pods were turning: then neither generation is idle.
        """
        self._settled = None
        self.generation = min(generations, default=0)
        self.mixed = len(generations) > 1
        self._unseen = not generations
        self._classes.adopt()
        self._sets.adopt()

    def completes(self, policy: PolicyState) -> int | None:
        """The generation that says just what `policy` says, where pods were turning to it."""
        if self._sets.missing(policy).writes:
            return None
        return next((g for g in (0, 1) if self._classes.says(policy.classes, g)), None)

    def prepare(self, policy: PolicyState) -> tuple[Step, int]:
        """
        Make ready for pods to turn to `policy`; what is in force is not touched.

        Answers what was written and the generation to turn to. An unchanged policy writes nothing;
        new sets for the same classes need no other generation.
        """
        if policy is self._settled:
            return Step(), self.generation
        step = Step(0, self._ended())
        self._settled = None
        step += self._sets.write(self._sets.missing(policy))
        if not self.mixed and self._classes.says(policy.classes, self.generation):
            return step, self.generation
        if self._unseen:
            return step + Step(self._classes.fill(policy.classes, None)), self.generation
        return step + Step(self._classes.fill(policy.classes, self.generation)), 1 - self.generation

    def turned(self, generation: int) -> None:
        """Every pod looks at `generation` now."""
        self.generation = generation
        self.mixed = self._unseen = False

    def catch_up(self) -> Step:
        """Have the idle generation say what is in force, and sweep: the next change has less to do."""
        if self._settled is None or self.mixed or self._unseen:
            return Step()
        removed = self._ended() + self._sets.clear()
        return Step(self._classes.fill(self._settled.classes, self.generation), removed)

    def settle(self, policy: PolicyState) -> Step:
        """Remove, not all at once, prefixes that `policy` lacks, and verdicts that nobody asks for any more."""
        self._settled = policy
        return Step(0, self._classes.settle(policy.classes, ENDED_AT_ONCE)) + self._sets.sweep(policy)

    # Removes what the last step left of prefixes that had ended.
    def _ended(self) -> int:
        return self._classes.settle(self._settled.classes) if self._settled is not None else 0
