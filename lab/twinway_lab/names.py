"""The names of all that belongs to a lab, which is recognised by its name alone."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from twinway_lab.usage import WrongUsage

STATE_ROOT = Path("/run/twinway/lab")
NETNS_DIR = Path("/run/netns")
GROUPS_DIR = "twinway-lab"
"""Directory in the cgroup v2 hierarchy that holds one directory per lab."""
DEFAULT_LAB = "lab"

# No dot: the dot ends the lab's name in a namespace's name, so no lab's prefix is another's.
_LAB_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?")
_NETNS_PREFIX = "twl-"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Somewhere programs run: a pod, a node itself, or the host outside. `str()` as in `--from`."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """`shop/client`, `node/n1` or `external`."""
        match self.kind:
            case "pod":
                return f"{self.namespace}/{self.name}"
            case "node":
                return f"node/{self.name}"
            case _:
                return self.kind

    @property
    def key(self) -> str:
        """The place as a file name; `_` cannot stand in a Kubernetes name, so no two are the same."""
        words = [word for word in (self.namespace, self.name) if word]
        return ".".join([self.kind, "_".join(words)] if words else [self.kind])


EXTERNAL = Place("external", "", "")


def pod_place(namespace: str, name: str) -> Place:
    """The place that a pod is."""
    return Place("pod", namespace, name)


def node_place(name: str) -> Place:
    """The place that a node itself is."""
    return Place("node", "", name)


def parse_place(text: str) -> Place:
    """The place that `--from` or `exec` names; raises `WrongUsage` where it is none of the three forms."""
    if text == "external":
        return EXTERNAL
    first, slash, second = text.partition("/")
    if not (first and slash and second) or "/" in second:
        raise WrongUsage(f"{text!r} is no place: give NAMESPACE/POD, node/NAME or external")
    return node_place(second) if first == "node" else pod_place(first, second)


@dataclass(frozen=True, slots=True)
class LabName:
    """A lab by name: where its state is and what its namespaces are called."""

    name: str

    @classmethod
    def checked(cls, name: str) -> LabName:
        """The lab of this name; raises `WrongUsage` for a name that cannot be one."""
        if not _LAB_NAME.fullmatch(name):
            raise WrongUsage(
                f"lab {name!r}: a name is 1 to 32 of a-z, 0-9 and -, neither beginning nor ending with -"
            )
        return cls(name)

    def __str__(self) -> str:
        """The bare name."""
        return self.name

    @property
    def state(self) -> Path:
        """The directory of everything the lab keeps in files."""
        return STATE_ROOT / self.name

    @property
    def netns_prefix(self) -> str:
        """How the names of all of the lab's network namespaces begin, and no other's."""
        return f"{_NETNS_PREFIX}{self.name}."

    @property
    def underlay(self) -> str:
        """The namespace of the bridge and router that all nodes are plugged into."""
        return f"{self.netns_prefix}underlay"

    def netns(self, place: Place) -> str:
        """The network namespace of a place (a host-network pod has its node's instead)."""
        return shortened(f"{self.netns_prefix}{place.key}", 200)

    def manifests(self) -> Path:
        """The folder that the agents watch."""
        return self.state / "manifests"

    def node_dir(self, node: str) -> Path:
        """A node's own directory; short, for unix sockets below it must fit into 107 bytes."""
        return self.state / "nodes" / shortened(node, 24)

    def agent_socket(self, node: str) -> Path:
        """Where the node's agent answers."""
        return self.node_dir(node) / "run" / "agent.sock"

    def place_socket(self, place: Place) -> Path:
        """Where the place's process takes probes."""
        return self.state / "places" / f"{shortened(place.key, 40)}.sock"

    def pod_record(self, place: Place) -> Path:
        """The file that says how a pod has been wired."""
        return self.state / "pods" / f"{shortened(place.key, 200)}.json"


def lab_of_netns(netns: str) -> str | None:
    """The name of the lab that a network namespace belongs to, if any."""
    if not netns.startswith(_NETNS_PREFIX):
        return None
    name, dot, _ = netns.removeprefix(_NETNS_PREFIX).partition(".")
    return name if dot and _LAB_NAME.fullmatch(name) else None


def shortened(text: str, limit: int) -> str:
    """`text`, or where it is longer than `limit` its beginning and a digest of the whole."""
    if len(text) <= limit:
        return text
    digest = hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
    return f"{text[: limit - len(digest) - 1]}-{digest}"
