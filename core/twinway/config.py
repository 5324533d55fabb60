"""
The node's config: read, checked, explained.

A bad file is refused whole, each fault in one line: `FILE: key: what, what to do`. Sections of
drivers are passed on untouched; each is checked by the driver's own `Options` (`plugins.options_of`).
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

from twinway.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)

DEFAULT_PATH = Path("/etc/twinway/node.yaml")


class Section(BaseModel):
    """A part of the config: immutable, and no key that nobody reads."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ManifestsSource(Section):
    """Objects come from Kubernetes YAML or JSON files and folders, which are watched."""

    kind: Literal["manifests"] = Field(default="manifests", description="manifests: files on this machine")
    paths: tuple[Path, ...] = Field(
        default=(Path("/etc/twinway/manifests"),),
        min_length=1,
        description="files and folders of Kubernetes manifests; changes are seen at once",
    )
    hold_seconds: Annotated[float, Field(ge=0, le=3600)] = Field(
        default=30.0,
        description="how long objects stay whose file, or all of whose files, suddenly say nothing; 0: not at all",
    )


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

    wait_seconds: Annotated[float, Field(gt=0, le=25)] = Field(
        default=10.0,
        description="longest wait of an ADD for its pod to be in force; then it fails, and kubelet tries again",
    )
    """At most 25: the plugin itself gives an answer up after 30 s."""


class NodeConfig(Section):
    """All that the agent of one node is told."""

    node_name: str = Field(
        default_factory=socket.gethostname,
        min_length=1,
        pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        description="this node's name, as its Node object has it",
    )
    driver: str = Field(default="tc", min_length=1, description="the datapath: name of an installed driver")
    source: ManifestsSource = Field(default_factory=ManifestsSource, description="where cluster objects come from")
    cgroup_root: Path | None = Field(
        default=None,
        description="cgroup v2 directory above all of this node's sockets; empty: where cgroup2 is mounted",
    )
    bpffs: Path = Field(
        default=Path("/sys/fs/bpf"), description="a BPF file system; pins go into a directory `twinway` of it"
    )
    run_dir: Path = Field(
        default=Path("/run/twinway"), description="sockets, the lock and what must outlive the agent"
    )
    cache_dir: Path = Field(
        default=Path("/var/cache/twinway"), description="what can be made again: compiled programs"
    )
    uplinks: tuple[str, ...] = Field(
        default=(), description="devices that lead out of the node; empty: those of the default routes"
    )
    resync_seconds: Annotated[float, Field(gt=0)] = Field(
        default=60.0, description="pause between two comparisons of the kernel with what should be there"
    )
    log: LogConfig = Field(default_factory=LogConfig, description="the agent's own log")
    metrics: MetricsConfig = Field(default_factory=MetricsConfig, description="metrics for others")
    cni: CniConfig = Field(default_factory=CniConfig, description="how pods are added")
    pod_device: Literal["veth", "macvlan", "ipvlan"] = Field(
        default="veth", description="how the lab wires its pods; the agent finds devices by itself"
    )
    drivers: Mapping[str, Mapping[str, Any]] = Field(
        default_factory=dict, description="one section for each driver, by name, with its own keys"
    )


def read(path: Path) -> NodeConfig:
    """The config in `path`; raises `ConfigError`, one line for each fault."""
    return parse(_document(path), str(path))


def parse(document: Mapping[str, Any], origin: str) -> NodeConfig:
    """The config that a YAML mapping holds. `origin` is named in errors."""
    return checked(NodeConfig, document, origin)


def checked(model: type[Model], values: Mapping[str, Any], origin: str, prefix: str = "") -> Model:
    """`values` as a `model`; raises `ConfigError`, one line for each fault. Keys stand below `prefix`."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        raise ConfigError("\n".join(f"{origin}: {prefix}{_fault(model, fault)}" for fault in faults)) from error


def _document(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}: give the agent's config with --config FILE") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is no UTF-8: save the file as UTF-8 text") from error
    document = _parsed(text, path)
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: holds a {type(document).__name__}: write one mapping, `key: value` a line")
    return document


def _parsed(text: str, path: Path) -> Any:
    if path.suffix == ".json":
        import json

        try:
            return json.loads(text)
        except ValueError as error:
            raise ConfigError(f"{path}: no JSON: {error}") from error
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ConfigError(f"{path}: {place}no YAML: {getattr(error, 'problem', None) or error}") from error


def _fault(model: type[BaseModel], fault: ErrorDetails) -> str:
    key = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"{key}: unknown key, {_remedy(_model_at(model, fault['loc'][:-1]), str(fault['loc'][-1]))}"
    message = fault["msg"].removeprefix("Value error, ")
    return f"{key}: {fault['input']!r}: {message[:1].lower()}{message[1:]}"


def _remedy(model: type[BaseModel] | None, word: str) -> str:
    known = sorted(model.model_fields) if model else []
    if nearest := get_close_matches(word, known, n=1):
        return f"did you mean {nearest[0]}?"
    return f"known here: {', '.join(known)}" if known else "no keys are known here"


def _model_at(model: type[BaseModel], place: tuple[int | str, ...]) -> type[BaseModel] | None:
    for part in place:
        field = model.model_fields.get(str(part))
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            return None
        model = field.annotation
    return model
