"""A pod's network: a namespace, a CNI chain run in it, and the routes between the pod and its node."""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_network
from pathlib import Path
from typing import Any

from twinway.errors import LabError
from twinway.files import write_whole
from twinway.model.net import Family, IPAddress
from twinway_lab.names import NETNS_DIR, LabName
from twinway_lab.network import chain, netns, parent, topology
from twinway_lab.network.announce import announce, hardware_address
from twinway_lab.network.chain import Chain, Result, Sandbox
from twinway_lab.network.parent import PARENT, SHARED_PARENT
from twinway_lab.plan.addresses import ROUTER, family_of
from twinway_lab.plan.plan import NodePlan, PodPlan

CNI_PATH = Path("/usr/lib/cni")
_EVERYWHERE = {Family.V4: "0.0.0.0/0", Family.V6: "::/0"}


@dataclass(frozen=True, slots=True)
class Wiring:
    """One pod, its node and the kind of its device."""

    lab: LabName
    device: str
    node: NodePlan
    pod: PodPlan

    @property
    def netns(self) -> str:
        """The pod's namespace."""
        return self.lab.netns(self.pod.place)


def wire(wiring: Wiring) -> None:
    """
    Make the pod's network. Runs in its node's namespace.

    What is needed to undo it is written to disk first.
    """
    netns.create(wiring.netns)
    with netns.inside(wiring.netns):
        netns.set_sysctls(topology.QUIET)
        netns.ip(["link set lo up"])
    record = {"container_id": secrets.token_hex(32), "plugins": list(_plugins(wiring)), "result": None}
    _write(wiring, record)
    try:
        result = chain.add(_chain(wiring, record), _sandbox(wiring, record))
        _finish(wiring, result)
    except LabError as error:
        raise LabError(f"pod {wiring.pod.place}: {error}") from error
    _write(wiring, {**record, "result": result})


def unwire(wiring: Wiring) -> None:
    """Undo what `wire` did, as far as it came. Runs in the node's namespace."""
    path = wiring.lab.pod_record(wiring.pod.place)
    record = json.loads(path.read_text()) if path.exists() else None
    if record is not None and record["pod"]["node"] == wiring.node.name:
        chain.delete(_chain(wiring, record), _sandbox(wiring, record), record["result"])
    forget(wiring)


def forget(wiring: Wiring) -> None:
    """Remove the namespace and the record of a pod whose node is removed, too."""
    netns.delete(wiring.netns)
    wiring.lab.pod_record(wiring.pod.place).unlink(missing_ok=True)


def is_whole(wiring: Wiring) -> bool:
    """Whether the pod is wired completely, and as planned."""
    path = wiring.lab.pod_record(wiring.pod.place)
    if not path.exists() or not netns.exists(wiring.netns):
        return False
    record = json.loads(path.read_text())
    return record["result"] is not None and PodPlan.of_json(record["pod"]).network == wiring.pod.network


def _write(wiring: Wiring, record: Mapping[str, Any]) -> None:
    write_whole(wiring.lab.pod_record(wiring.pod.place), json.dumps({**record, "pod": wiring.pod.as_json()}))


def _chain(wiring: Wiring, record: Mapping[str, Any]) -> Chain:
    from twinway_cni.plugin import plugin_path

    return Chain(f"twinway-{wiring.lab}", record["plugins"], [CNI_PATH, plugin_path().parent])


def _sandbox(wiring: Wiring, record: Mapping[str, Any]) -> Sandbox:
    place = wiring.pod.place
    args = {"IgnoreUnknown": "1", "K8S_POD_NAMESPACE": place.namespace, "K8S_POD_NAME": place.name}
    return Sandbox(
        container_id=record["container_id"],
        netns=NETNS_DIR / wiring.netns,
        args={**args, "K8S_POD_INFRA_CONTAINER_ID": record["container_id"]},
        capabilities={"ips": [str(address) for address in wiring.pod.addresses]},
        environment={"TWINWAY_SOCKET": str(wiring.lab.node_dir(wiring.node.name) / "run" / "cni.sock")},
    )


# -- the chain -------------------------------------------------------------------------------------


def _plugins(wiring: Wiring) -> Iterator[dict[str, Any]]:
    first: dict[str, Any] = {"type": "ptp" if wiring.device == "veth" else wiring.device}
    if wiring.device in SHARED_PARENT:
        first |= {"master": PARENT, "mode": "bridge" if wiring.device == "macvlan" else "l2"}
    if all(wiring.node.holds(address) for address in wiring.pod.addresses):
        yield {**first, "capabilities": {"ips": True}, "ipam": _host_local(wiring)}
    else:
        yield {**first, "ipam": _static(wiring)}
    yield {"type": "twinway"}


def _families(wiring: Wiring) -> list[Family]:
    return [family_of(address) for address in wiring.pod.addresses]


def _host_local(wiring: Wiring) -> dict[str, Any]:
    families = _families(wiring)
    blocks = [block for block in wiring.node.pod_cidrs if family_of(block) in families]
    return {
        "type": "host-local",
        "dataDir": str(wiring.lab.node_dir(wiring.node.name) / "ipam"),
        "ranges": [[{"subnet": str(block)}] for block in blocks],
        "routes": [{"dst": _EVERYWHERE[family]} for family in families],
    }


def _static(wiring: Wiring) -> dict[str, Any]:
    # For pods with an address outside of the node's ranges. On a shared parent such an address has no gateway in
    # its subnet: `_routes_out` adds the router. A second address inside a range is as host-local would make it.
    if wiring.device not in SHARED_PARENT:
        routes = [{"dst": _EVERYWHERE[family]} for family in _families(wiring)]
        return {"type": "static", "addresses": list(map(_with_gateway, wiring.pod.addresses)), "routes": routes}
    addresses, routes = [], []
    for address in wiring.pod.addresses:
        block = wiring.node.block_of(address)
        addresses.append({"address": f"{address}/{block.prefixlen if block else address.max_prefixlen}"})
        if block:
            gateway = wiring.node.gateway(family_of(address))
            routes.append({"dst": _EVERYWHERE[family_of(address)], "gw": str(gateway)})
    return {"type": "static", "addresses": addresses, "routes": routes}


def _with_gateway(address: IPAddress) -> dict[str, str]:
    # ptp gives the gateway's address to the node's end of the pair. This one is the least likely to be a pod's.
    network = ip_network(f"{address}/{24 if address.version == 4 else 64}", strict=False)
    gateway = network[-2] if network[-2] != address else network[-3]
    return {"address": f"{address}/{network.prefixlen}", "gateway": str(gateway)}


# -- what the chain leaves to the node ----------------------------------------------------------------


def _finish(wiring: Wiring, result: Result) -> None:
    if wiring.device in SHARED_PARENT:
        index = socket.if_nametoindex(PARENT)
        slave = parent.slave_name(wiring.device, index)
        mac = hardware_address(slave).hex(":")
        netns.ip(_routes_to_pod(wiring, slave))
        with netns.inside(wiring.netns):
            netns.ip([*_routes_to_node(wiring, mac), *_routes_out(wiring)])
            announce("eth0", (each for each in wiring.pod.addresses if isinstance(each, IPv6Address)))
    else:
        host_side = next(each["name"] for each in result["interfaces"] if not each.get("sandbox"))
        netns.ip(_routes_to_pod(wiring, host_side))


def _routes_to_pod(wiring: Wiring, device: str) -> Iterator[str]:
    # The source is the node's address as the cluster knows it, from which traffic may always pass.
    for address in wiring.pod.addresses:
        own = wiring.node.address(family_of(address))
        source = f" src {own}" if own else ""
        yield f"route replace {address} dev {device}{_on_link(address.version)}{source}"


def _routes_to_node(wiring: Wiring, mac: str) -> Iterator[str]:
    for address in wiring.node.addresses:
        if family_of(address) in _families(wiring):
            yield f"neigh replace {address} lladdr {mac} dev eth0 nud permanent"
            yield f"route replace {address} dev eth0{_on_link(address.version)}"


def _routes_out(wiring: Wiring) -> Iterator[str]:
    for address in wiring.pod.addresses:
        if wiring.node.block_of(address) is None:
            yield f"route replace default via {ROUTER[family_of(address)]} dev eth0 onlink"


def _on_link(version: int) -> str:
    return " scope link" if version == 4 else ""
