"""A lab without a kernel: it holds objects as the real one does, and the reference model answers its probes."""

from __future__ import annotations

from collections.abc import Sequence

from twinway_conformance.objects import Object, key_of
from twinway_conformance.probes import Answer, Query
from twinway_conformance.reference import expected


class ReferenceLab:
    """Just what `Stage` needs of a lab to hold objects and to ask."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Object] = {}

    def sync(self, objects: Sequence[Object]) -> None:
        self.objects = {key_of(thing): thing for thing in objects}

    def apply(self, *things: Object, bad_policies: bool = False) -> None:
        self.objects |= {key_of(thing): thing for thing in things}

    def delete(self, *things: Object) -> None:
        for thing in things:
            self.objects.pop(key_of(thing), None)

    def batch(self, queries: Sequence[Query]) -> list[list[Answer]]:
        return [self._answers(query) for query in queries]

    def execute(self, place: str, *command: str) -> str:
        """Neighbours are no concern of a model."""
        return ""

    def _answers(self, query: Query) -> list[Answer]:
        may = expected(list(self.objects.values()), query.source, query.to, query.protocol, address=query.address)
        fates = sorted(may.fates, key=str)
        assert fates, f"the reference has no answer to {query}"
        chosen = [fates[number % len(fates)] for number in range(query.count)]
        return [Answer(outcome, backend, query.address or None, 1.0) for outcome, backend in chosen]
