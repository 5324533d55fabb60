"""What the API server of a real cluster gives a Service: cluster IPs and node ports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any

from twinway.errors import LabError
from twinway.model.net import Family, IPAddress, ObjectRef
from twinway.sources.decode.metadata import ref_of
from twinway_lab.objects.raw import Object, section
from twinway_lab.plan.addresses import SERVICES, Pool, family_of

NODE_PORTS = range(30000, 32768)
_FAMILIES = {"IPv4": Family.V4, "IPv6": Family.V6}
_NAMES = {family: name for name, family in _FAMILIES.items()}


class Allocator:
    """Gives Services what they lack. What a Service was given before, it is given again."""

    def __init__(self, services: Iterable[Object], before: Mapping[ObjectRef, Object]) -> None:
        """`services` are all there are, as the user wrote them; `before` is what they were made into last."""
        listed = list(services)
        kept = [before[ref] for each in listed if (ref := ref_of(each, namespaced=True)) in before]
        taken = [address for each in (*listed, *kept) for address in _given_addresses(section(each, "spec"))]
        self._before = before
        self._pools = {family: Pool(SERVICES[family], taken) for family in Family}
        self._said = {address for each in listed for address in _given_addresses(section(each, "spec"))}
        ports = {port for each in (*listed, *kept) for port in _given_node_ports(section(each, "spec"))}
        self._node_ports = (number for number in NODE_PORTS if number not in ports)

    def completed(self, service: Object) -> Object:
        """The Service with cluster IPs and node ports; as it was where a decoder must refuse it anyway."""
        spec = section(service, "spec")
        if spec.get("type") == "ExternalName" or not spec:
            return service
        earlier = section(self._before.get(ref_of(service, namespaced=True), {}), "spec")
        new = {**spec, **self._ports(spec, earlier)}
        if "None" not in (spec.get("clusterIP"), *_list(spec.get("clusterIPs"))):
            new |= self._addresses(spec, earlier)
        return {**service, "spec": new}

    def _addresses(self, spec: Object, earlier: Object) -> Object:
        given = {family_of(address): address for address in _given_addresses(spec)}
        if len(given) < len(_addresses_said(spec)):
            return {}
        had = {family_of(address): address for address in _given_addresses(earlier)}
        found = [given.get(family) or self._new(family, had.get(family)) for family in _families(spec, given)]
        return {
            "clusterIP": str(found[0]),
            "clusterIPs": [str(address) for address in found],
            "ipFamilies": [_NAMES[family_of(address)] for address in found],
        }

    def _new(self, family: Family, had: IPAddress | None) -> IPAddress:
        if had is not None and had not in self._said:
            return had
        address = self._pools[family].take()
        if address is None:
            raise LabError(f"no cluster IP is left in {SERVICES[family]}")
        return address

    def _ports(self, spec: Object, earlier: Object) -> Object:
        ports = _list(spec.get("ports"))
        kind, wanted = spec.get("type"), spec.get("allocateLoadBalancerNodePorts")
        if kind != "NodePort" and (kind != "LoadBalancer" or wanted is False):
            return {}
        had = {_port_key(port): port.get("nodePort") for port in _list(earlier.get("ports"))}
        return {"ports": [self._port(port, had.get(_port_key(port))) for port in ports]}

    def _port(self, port: Any, had: int | None) -> Any:
        if not isinstance(port, Mapping) or port.get("nodePort"):
            return port
        number = had or next(self._node_ports, None)
        if number is None:
            raise LabError(f"no node port is left in {NODE_PORTS[0]}-{NODE_PORTS[-1]}")
        return {**port, "nodePort": number}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _port_key(port: Any) -> tuple[object, object]:
    return (port.get("protocol", "TCP"), port.get("port")) if isinstance(port, Mapping) else (None, None)


def _addresses_said(spec: Object) -> list[Any]:
    return _list(spec.get("clusterIPs")) or ([spec["clusterIP"]] if spec.get("clusterIP") else [])


def _given_addresses(spec: Object) -> Iterator[IPAddress]:
    for word in _addresses_said(spec):
        try:
            yield ip_address(str(word))
        except ValueError:
            continue


def _given_node_ports(spec: Object) -> Iterator[int]:
    for port in _list(spec.get("ports")):
        if isinstance(port, Mapping) and isinstance(port.get("nodePort"), int):
            yield port["nodePort"]


def _families(spec: Object, given: Mapping[Family, IPAddress]) -> list[Family]:
    # Source: KEP-563: families in the order asked; one of them, or both, by the policy.
    asked = [_FAMILIES[word] for word in _list(spec.get("ipFamilies")) if word in _FAMILIES]
    order = list(dict.fromkeys((*given, *asked))) or [Family.V4]
    dual = spec.get("ipFamilyPolicy") in ("PreferDualStack", "RequireDualStack")
    wanted = max(len(given), 2 if dual or len(asked) > 1 else 1)
    return [*order, *(family for family in Family if family not in order)][:wanted]
