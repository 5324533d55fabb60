"""What tests work with: the lab of one target with the cast in it, and short methods for both."""

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

_FIRST_SERVICE = 10  # 10.96.0.10: a cluster's own Services (kubernetes, DNS) have lower addresses


class Stage:
    """The lab of one target."""

    def __init__(self, lab: Lab, target: Target) -> None:
        self.lab, self.target = lab, target
        self.families = target.families
        self.base = cast.cluster(self.families)
        self._numbers: dict[str, int] = {}
        self._held = ""

    # Objects in force

    def hold(self, *extra: Object, base: Sequence[Object] | None = None) -> None:
        """
        Put the cast (or `base`) and these objects in force, and nothing else.

        An object in `extra` replaces that of the same name in the cast.
        """
        wanted = {objects.key_of(thing): thing for thing in [*(self.base if base is None else base), *extra]}
        text = json.dumps(list(wanted.values()), sort_keys=True)
        if text != self._held:
            self._held = ""
            self.lab.sync(list(wanted.values()))
            self._held = text

    def apply(self, *things: Object, bad_policies: bool = False) -> None:
        """Put objects in force beside those that are. With `bad_policies`, agents also get faulty policies."""
        self._held = ""
        self.lab.apply(*things, bad_policies=bad_policies)

    def delete(self, *things: Object) -> None:
        """Delete objects."""
        self._held = ""
        self.lab.delete(*things)

    # Probes

    def ask(self, *queries: Query) -> list[list[Answer]]:
        """The answers to each query. Queries run at the same time."""
        return self.lab.batch(queries)

    def expect(self, *due: Due | Iterable[Due]) -> None:
        """Fail unless every query gets its expected answer, with one line for each that does not."""
        asked = [one for each in due for one in ((each,) if isinstance(each, Due) else each)]
        lines = misfits(asked, self.lab.batch([one.query for one in asked]))
        assert not lines, "\n".join([f"{len(lines)} of {len(asked)} probes failed:", *lines])

    def expect_spread(self, queries: Iterable[Query], backends: Iterable[str], least: int = 1) -> None:
        """Fail unless each backend answers each query at least `least` times, and nobody else answers."""
        asked, wanted = list(queries), sorted(backends)
        lines = []
        for query, answers in zip(asked, self.lab.batch(asked), strict=True):
            met = tallied(answers)
            if sorted(met) != wanted or min(met.values()) < least:
                lines.append(f"{query}: expected each of {wanted} at least {least} times, got {met}")
        assert not lines, "\n".join(lines)

    def allowed(self, source: str, name: str, port: int = 80, protocol: str = "tcp") -> list[Due]:
        """Expect that a pod of the cast answers `source` on a port, in every family."""
        return [connects(Query(source, to, protocol), name) for to in self.pod_at(name, port)]

    def denied(self, source: str, name: str, port: int = 80, protocol: str = "tcp") -> list[Due]:
        """Expect that a pod of the cast is silent towards `source` on a port, in every family."""
        return [drops(source, to, protocol) for to in self.pod_at(name, port)]

    def needs_sctp(self) -> None:
        """Skip the test if the kernel has no SCTP."""
        if self.lab.execute(cast.CLIENT, *command("has_sctp.py")).strip() != "yes":
            pytest.skip("this kernel has no SCTP")

    def talk(self, place: str) -> Remote:
        """A program at `place` whose sockets the test controls; a context manager."""
        return Remote(self.lab, place)

    # Services and their addresses

    def service(self, name: str, ports: Iterable[Object], selector: Mapping[str, str] | None = None) -> Object:
        """A ClusterIP Service `ns/name` with an address of its own in every family of the target."""
        number = self._numbers.setdefault(name, _FIRST_SERVICE + len(self._numbers))
        return objects.service(name, objects.both(f"10.96.0.{number}", self.families), ports, selector)

    def slices(self, owner: Object, targets: Mapping[str, int], *members: str | tuple[str, str]) -> list[Object]:
        """
        The EndpointSlices of a Service, one for each family.

        `targets` maps the names of ports to the backends' numbers. A member is a pod of the cast, or a pair of a
        pod and its condition, one of `CONDITIONS`.
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
"""The (ready, serving, terminating) of an endpoint by the name of its condition. Source: KEP-1672."""
