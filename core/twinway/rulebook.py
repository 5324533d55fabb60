"""Names of rules, also of those that are no longer in force: the kernel's counts outlive a policy."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from twinway.model.node import RuleId, RuleRef

KEPT = 8192
"""Twice the entries of the table of counts: what is forgotten has no count any more, most likely."""


class RuleBook:
    """The newest `KEPT` rules that were in force since the agent's start."""

    def __init__(self) -> None:
        """No rule is known."""
        self._lock = threading.Lock()
        self._known: dict[RuleId, RuleRef] = {}
        self._noted: Mapping[RuleId, RuleRef] | None = None

    def note(self, rules: Mapping[RuleId, RuleRef]) -> None:
        """These are in force now. The same object again costs nothing."""
        if rules is self._noted:
            return
        with self._lock:
            self._noted = rules
            for rule, ref in rules.items():
                self._known.pop(rule, None)
                self._known[rule] = ref
            for rule in list(self._known)[:-KEPT]:
                del self._known[rule]

    def name(self, rule: RuleId) -> RuleRef | None:
        """What the id stands for; None where it was never in force here, or long ago."""
        with self._lock:
            return self._known.get(rule)
