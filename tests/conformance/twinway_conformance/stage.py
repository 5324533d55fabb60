"""What a test holds in its hands: one target's lab with the cast in it, and short words for both."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

import pytest

from twinway_conformance import cast, objects
from twinway_conformance.lab import Lab
from twinway_conformance.objects import Object
from twinway_conformance.probes import Answer, Due, Query, connects, drops, misfits, tallied
from twinway_conformance.sockets import Remote, command
from twinway_conformance.targets import Target

_FIRST_SERVICE = 10  # 10.96.0.10: below it a cluster keeps its own (kubernetes, DNS)


class Stage:
    """One lab as the tests of one target use it."""

    def __init__(self, lab: Lab, target: Target) -> None:
        self.lab, self.target = lab, target
        self.families = target.families
        self.base = cast.cluster(self.families)
        self._numbers: dict[str, int] = {}
        self._held = ""

    # What is in force

    def hold(self, *extra: Object, base: Sequence[Object] | None = None) -> None:
        """
        The cast (or `base`) and these objects, and nothing else, are in force.

        An object of the cast that is among `extra` takes its place.
        """
        wanted = {objects.key_of(thing): thing for thing in [*(self.base if base is None else base), *extra]}
        text = json.dumps(list(wanted.values()), sort_keys=True)
        if text != self._held:
            self._held = ""
            self.lab.sync(list(wanted.values()))
            self._held = text

    def apply(self, *things: Object, bad_policies: bool = False) -> None:
        """The objects are in force beside what is there, bad policies among them where asked for."""
        self._held = ""
        self.lab.apply(*things, bad_policies=bad_policies)

    def delete(self, *things: Object) -> None:
        """The objects are gone."""
        self._held = ""
        self.lab.delete(*things)

    # Asking

    def ask(self, *queries: Query) -> list[list[Answer]]:
        """The answers to each query, asked side by side."""
        return self.lab.batch(queries)

    def expect(self, *due: Due | Iterable[Due]) -> None:
        """Every query is met with what is due; what is not is listed, one line each."""
        asked = [one for each in due for one in ((each,) if isinstance(each, Due) else each)]
        lines = misfits(asked, self.lab.batch([one.query for one in asked]))
        assert not lines, "\n".join([f"{len(lines)} of {len(asked)} probes failed:", *lines])

    def expect_spread(self, queries: Iterable[Query], backends: Iterable[str], least: int = 1) -> None:
        """Each query, of a count, is answered by each of the backends at least so often, and by nobody else."""
        asked, wanted = list(queries), sorted(backends)
        lines = []
        for query, answers in zip(asked, self.lab.batch(asked), strict=True):
            met = tallied(answers)
            if sorted(met) != wanted or min(met.values()) < least:
                lines.append(f"{query}: expected each of {wanted} at least {least} times, got {met}")
        assert not lines, "\n".join(lines)

    def allowed(self, source: str, name: str, port: int = 80, protocol: str = "tcp") -> list[Due]:
        """A pod of the cast is reached from `source` on a port, in every family, and answers itself."""
        return [connects(Query(source, to, protocol), name) for to in self.pod_at(name, port)]

    def denied(self, source: str, name: str, port: int = 80, protocol: str = "tcp") -> list[Due]:
        """A pod of the cast is silent towards `source` on a port, in every family."""
        return [drops(source, to, protocol) for to in self.pod_at(name, port)]

    def needs_sctp(self) -> None:
        """The test goes on where the kernel has SCTP; elsewhere it does not apply."""
        if self.lab.execute(cast.CLIENT, *command("has_sctp.py")).strip() != "yes":
            pytest.skip("this kernel has no SCTP")

    def talk(self, place: str) -> Remote:
        """A program at `place` whose sockets the test holds; a context."""
        return Remote(self.lab, place)

    # Services and where they are

    def service(self, name: str, ports: Iterable[Object], selector: Mapping[str, str] | None = None) -> Object:
        """A ClusterIP Service `ns/name` in every family of the target, at addresses of its own."""
        number = self._numbers.setdefault(name, _FIRST_SERVICE + len(self._numbers))
        return objects.service(name, objects.both(f"10.96.0.{number}", self.families), ports, selector)

    def slices(self, owner: Object, targets: Mapping[str, int], *members: str | tuple[str, str]) -> list[Object]:
        """
        EndpointSlices of a Service, one for each family.

        `targets`: port name → the backends' port. A member is a pod of the cast, or (pod, condition);
        conditions are those of `CONDITIONS`.
        """
        whole = {objects.named(thing): thing for thing in self.base if thing["kind"] == "Pod"}
        made = []
        for index, family in enumerate(self.families):
            ends = []
            for member in members:
                name, condition = (member, "ready") if isinstance(member, str) else member
                address = cast.pod_addresses(name, self.families)[index]
                ready, serving, terminating = CONDITIONS[condition]
                ends.append(
                    objects.endpoint(whole[name], address, ready=ready, serving=serving, terminating=terminating)
                )
            made.append(objects.endpoint_slice(owner, family, ends, targets))
        return made

    def vips(self, owner: Object) -> list[tuple[int, str]]:
        """(family, address) of a Service."""
        return list(zip(self.families, owner["spec"]["clusterIPs"], strict=True))

    def at(self, owner: Object, port: int) -> list[str]:
        """HOST:PORT of a Service's port, one for each family."""
        return [objects.at(address, port) for address in owner["spec"]["clusterIPs"]]

    def pod_at(self, name: str, port: int) -> list[str]:
        """HOST:PORT of a pod of the cast, one for each family."""
        return [objects.at(address, port) for address in cast.pod_addresses(name, self.families)]


CONDITIONS = {
    "ready": (True, True, False),
    "unready": (False, False, False),
    "terminating": (False, True, True),
    "finished": (False, False, True),
}
"""Name → (ready, serving, terminating) of an endpoint. Source: KEP-1672."""
