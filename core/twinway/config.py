"""
The node's config: read, checked, explained.

A bad file is refused whole, each fault in one line: `FILE: key: what, what to do`. Sections of
drivers are passed on untouched; each is checked by the driver's own `Options` (`plugins.options_of`).
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from twinway.config_faults import faults_of
from twinway.errors import ConfigError, ManifestError

Model = TypeVar("Model", bound=BaseModel)


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError(
            f"must be a path from the root, for instance {Path('/') / path}: the agent may start anywhere"
        )
    if "\0" in str(path):
        raise ValueError("must not hold a zero byte")
    return path


def _one_line(name: str) -> str:
    if not re.fullmatch(r"[^\s/\0]{1,15}", name):
        raise ValueError("must be a device's name: 1 to 15 characters, no space and no slash")
    return name


def _node_name(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", name) or len(name) > 253:
        raise ValueError("must be a Node's name: small letters, digits, dashes and dots, 253 at most")
    return name


def _taint_key(key: str) -> str:
    if key and not re.fullmatch(
        r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?", key
    ):
        raise ValueError("must be the key of a taint, for instance twinway.io/agent-not-ready")
    return key


def _host_name() -> str:
    return os.environ.get(NODE_NAME_VARIABLE) or socket.gethostname()


NODE_NAME_VARIABLE = "TWINWAY_NODE_NAME"
"""In a pod, the name of its node, by the downward API: one config serves many nodes."""

NodeNameText = Annotated[str, AfterValidator(_node_name)]
DeviceName = Annotated[str, AfterValidator(_one_line)]
DriverSections = Mapping[str, Mapping[str, Any]]
RootedPath = Annotated[Path, AfterValidator(_absolute)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
"""Neither text nor a boolean passes for one."""

DEFAULT_PATH = Path("/etc/twinway/node.yaml")


class Section(BaseModel):
    """A part of the config: immutable, and no key that nobody reads."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ManifestsSource(Section):
    """Objects come from Kubernetes YAML or JSON files and folders, which are watched."""

    kind: Literal["manifests"] = Field(default="manifests", description="manifests: files on this machine")
    paths: tuple[RootedPath, ...] = Field(
        default=(Path("/etc/twinway/manifests"),),
        min_length=1,
        description="files and folders of Kubernetes manifests; changes are seen at once",
    )
    hold_seconds: Annotated[Number, Field(ge=0, le=3600)] = Field(
        default=30.0,
        description="how long objects stay whose file, or all of whose files, suddenly say nothing; 0: not at all",
    )


class KubernetesSource(Section):
    """Objects come from a cluster's API server."""

    kind: Literal["kubernetes"] = Field(default="kubernetes", description="kubernetes: a cluster's API server")
    kubeconfig: RootedPath | None = Field(
        default=None,
        description="file that names server and credentials; empty: the service account of the agent's own pod",
    )
    context: str = Field(default="", description="context of the kubeconfig; empty: its current one")
    events: bool = Field(
        default=True, strict=True, description="whether objects that cannot be used get an Event that says why"
    )
    startup_taint: Annotated[str, AfterValidator(_taint_key)] = Field(
        default="",
        description="key of a taint that is removed from this node once its pods are served; empty: none",
    )

    @model_validator(mode="after")
    def _context_of_something(self) -> KubernetesSource:
        if self.context and self.kubeconfig is None:
            raise ValueError("context needs a kubeconfig: give source.kubeconfig, too")
        return self


def _kind_of(source: object) -> str:
    kind = source.get("kind", "manifests") if isinstance(source, Mapping) else getattr(source, "kind", "manifests")
    return str(kind)


SourceConfig = Annotated[
    Annotated[ManifestsSource, Tag("manifests")] | Annotated[KubernetesSource, Tag("kubernetes")],
    Discriminator(_kind_of),
]
"""One of the sources, by `kind`."""


class LogConfig(Section):
    """What the agent writes on stderr."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="least severity that is written: debug, info, warning or error"
    )
    format: Literal["text", "json"] = Field(
        default="text", description="text: key=value lines; json: one object a line"
    )


class MetricsConfig(Section):
    """Where Prometheus metrics and health are served beside the agent's own socket."""

    address: str = Field(
        default="", description="HOST:PORT that serves /metrics, /healthz and /livez; empty: none"
    )

    @field_validator("address")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        if not value:
            return value
        host, colon, port = value.rpartition(":")
        if not colon or not host or not port.isdecimal() or not 0 <= int(port) <= 65535:
            raise ValueError("not HOST:PORT: give for instance 127.0.0.1:9465 or [::1]:9465")
        return value


class CniConfig(Section):
    """How pods are added."""

    wait_seconds: Annotated[Number, Field(gt=0, le=25)] = Field(
        default=10.0,
        description="longest wait of an ADD for its pod to be in force; then it fails, and kubelet tries again",
    )
    """At most 25: the plugin itself gives an answer up after 30 s."""
    conf_dir: RootedPath | None = Field(
        default=None,
        description="folder of the node's network configs, where the agent keeps twinway at the end of the first "
        "chain; empty: nowhere",
    )


class NodesEntry(Section):
    """What is different on the nodes that an entry of `nodes` matches; a key that is not given stays."""

    names: tuple[NodeNameText, ...] = Field(default=(), description="names of the nodes that it matches")
    labels: Mapping[str, str] = Field(
        default_factory=dict, description="labels that the Node objects of the nodes that it matches have"
    )
    driver: str | None = Field(default=None, min_length=1, description="their driver")
    uplinks: tuple[DeviceName, ...] | None = Field(default=None, description="their uplinks")
    drivers: DriverSections = Field(
        default_factory=dict, description="sections of drivers, each in place of the section above"
    )

    @model_validator(mode="after")
    def _matches_something(self) -> NodesEntry:
        if not self.names and not self.labels:
            raise ValueError("matches no node: give names, labels or both")
        return self

    def matches(self, name: str, labels: Mapping[str, str]) -> bool:
        """Whether the node of that name and with those labels is one of these."""
        return self.may_match(name) and self.labels.items() <= labels.items()

    def may_match(self, name: str) -> bool:
        """Whether the node of that name is one of these if its labels match."""
        return not self.names or name in self.names


class NodeConfig(Section):
    """The whole config of one node's agent."""

    node_name: NodeNameText = Field(
        default_factory=_host_name,
        description=f"name of this node's Node object; empty: ${NODE_NAME_VARIABLE}, or the host's name",
    )
    driver: str = Field(default="tc", min_length=1, description="the datapath: name of an installed driver")
    source: SourceConfig = Field(default_factory=ManifestsSource, description="where cluster objects come from")
    cgroup_root: RootedPath | None = Field(
        default=None,
        description="cgroup v2 directory above all of this node's sockets; empty: where cgroup2 is mounted",
    )
    bpffs: RootedPath = Field(
        default=Path("/sys/fs/bpf"), description="a BPF file system; pins go into a directory `twinway` of it"
    )
    run_dir: RootedPath = Field(
        default=Path("/run/twinway"), description="sockets, the lock and what must outlive the agent"
    )
    cache_dir: RootedPath = Field(
        default=Path("/var/cache/twinway"), description="what can be made again: compiled programs"
    )
    uplinks: tuple[DeviceName, ...] = Field(
        default=(), description="devices that lead out of the node; empty: those of the default routes"
    )
    resync_seconds: Annotated[Number, Field(ge=0.1, le=86400)] = Field(
        default=60.0, description="pause between two comparisons of the kernel with what should be there"
    )
    log: LogConfig = Field(default_factory=LogConfig, description="the agent's own log")
    metrics: MetricsConfig = Field(default_factory=MetricsConfig, description="metrics for others")
    cni: CniConfig = Field(default_factory=CniConfig, description="how pods are added")
    drivers: DriverSections = Field(
        default_factory=dict, description="one section for each driver, by name, with its own keys"
    )
    nodes: tuple[NodesEntry, ...] = Field(
        default=(), description="what is different on some nodes; the first entry that matches a node counts"
    )

    @property
    def asks_for_labels(self) -> bool:
        """Whether the entry of `nodes` for this node can only be chosen once the Node's labels are known."""
        first = next((entry for entry in self.nodes if entry.may_match(self.node_name)), None)
        return first is not None and bool(first.labels)

    def here(self, labels: Mapping[str, str]) -> NodeConfig:
        """The config with what is different on this node, whose Node object has these labels."""
        entry = next((each for each in self.nodes if each.matches(self.node_name, labels)), None)
        if entry is None:
            return self
        changes: dict[str, Any] = {"drivers": {**self.drivers, **entry.drivers}}
        if entry.driver is not None:
            changes["driver"] = entry.driver
        if entry.uplinks is not None:
            changes["uplinks"] = entry.uplinks
        return self.model_copy(update=changes)


Sections = Callable[[Mapping[str, Any], str], list[str]]
"""Faults of the drivers' sections, reported with the others; the second argument is the origin."""


def read(path: Path, sections: Sections = lambda _document, _origin: []) -> NodeConfig:
    """The config in `path`; raises `ConfigError`, one line for each fault."""
    return parse(document(path), str(path), sections)


def parse(
    document: Mapping[str, Any], origin: str, sections: Sections = lambda _document, _origin: []
) -> NodeConfig:
    """The config that a YAML mapping holds. `origin` is named in errors."""
    lines = faults(NodeConfig, document, origin) + sections(document, origin)
    if lines:
        raise ConfigError("\n".join(lines))
    return NodeConfig.model_validate(document)


def checked(model: type[Model], values: Mapping[str, Any], origin: str, prefix: str = "") -> Model:
    """`values` as a `model`; raises `ConfigError`, one line for each fault. Keys stand below `prefix`."""
    if lines := faults(model, values, origin, prefix):
        raise ConfigError("\n".join(lines))
    return model.model_validate(values)


def faults(model: type[BaseModel], values: Any, origin: str, prefix: str = "") -> list[str]:
    """A line for each fault that `values` have as a `model`."""
    try:
        model.model_validate(values)
    except ValidationError as error:
        return faults_of(model, error.errors(include_url=False), origin, prefix)
    return []


def document(path: Path) -> Mapping[str, Any]:
    """The YAML or JSON mapping in `path`, unchecked; raises `ConfigError` where it holds anything else."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}: give the agent's config with --config FILE") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is no UTF-8: save the file as UTF-8 text") from error
    found = _parsed(text, path)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: holds a {type(found).__name__}: write one mapping, `key: value` a line")
    return found


def _parsed(text: str, path: Path) -> Any:
    if path.suffix == ".json":
        import json

        try:
            return json.loads(text, object_pairs_hook=_once)
        except ValueError as error:
            raise ConfigError(f"{path}: no JSON: {error}") from error
    from twinway.sources.manifests.yaml_loader import documents

    try:
        found = list(documents(path, text))
    except ManifestError as error:
        raise ConfigError(str(error)) from error
    if len(found) > 1:
        raise ConfigError(f"{path}: holds {len(found)} documents: write one, without `---` between its parts")
    return found[0] if found else None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise ValueError(f"key {twice[0]!r} is given twice")
    return dict(pairs)
