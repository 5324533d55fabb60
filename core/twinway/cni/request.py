"""
One request, checked: what the runtime put in the environment and on stdin.

On the wire it is `KEY=VALUE` strings that each end in a zero byte, one more zero byte, then stdin.
Source: containernetworking/cni SPEC.md 0.3.0 to 1.1.0, "Parameters" and "Configuration format".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_interface
from typing import Any

from twinway.cni.errors import CniError, Code
from twinway.model.net import IPAddress, ObjectRef
from twinway.model.node import Attachment

VERSIONS = ("0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
SINCE = {"CHECK": "0.4.0", "GC": "1.1.0", "STATUS": "1.1.0"}
"""First version that has the verb; the others are in every version."""
VALID_ATTACHMENTS = "cni.dev/valid-attachments"

_CONTAINER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")
_IFNAME = re.compile(r"[^\s/:\0]{1,15}")


@dataclass(frozen=True, slots=True)
class Request:
    """Environment and stdin as they came; nothing is checked before it is asked for."""

    environment: Mapping[str, str]
    stdin: bytes

    @classmethod
    def parse(cls, message: bytes) -> Request:
        """The request in a message; raises `CniError` where there is none."""
        head, end, stdin = message.partition(b"\0\0")
        if not end:
            raise CniError(Code.IO_FAILURE, "the request's environment has no end: update the plugin's binary")
        pairs = (item.decode("utf-8", "surrogateescape").partition("=") for item in head.split(b"\0") if item)
        return cls({key: value for key, _, value in pairs}, stdin)

    @property
    def verb(self) -> str:
        """What is asked: ADD, CHECK, DEL, …; empty where nothing is."""
        return self.environment.get("CNI_COMMAND", "")

    @property
    def container_id(self) -> str:
        """The container, in characters that are safe in a file's name."""
        return self._environment("CNI_CONTAINERID", _CONTAINER_ID)

    @property
    def ifname(self) -> str:
        """The interface in the container."""
        name = self._environment("CNI_IFNAME", _IFNAME)
        if name in {".", ".."}:
            raise CniError(Code.INVALID_ENVIRONMENT, f"CNI_IFNAME: {name!r} is no interface name")
        return name

    @property
    def netns(self) -> str:
        """Path of the container's network namespace."""
        return self._environment("CNI_NETNS", re.compile(r"/[^\0]+"))

    @property
    def pod(self) -> ObjectRef:
        """The pod, as Kubernetes runtimes name it in CNI_ARGS; other arguments are nobody's business."""
        pairs = (item.partition("=") for item in self.environment.get("CNI_ARGS", "").split(";"))
        arguments = {key: value for key, _, value in pairs}
        namespace, name = arguments.get("K8S_POD_NAMESPACE", ""), arguments.get("K8S_POD_NAME", "")
        if not namespace or not name:
            raise CniError(
                Code.INVALID_ENVIRONMENT,
                "CNI_ARGS: K8S_POD_NAMESPACE and K8S_POD_NAME are missing: twinway serves pods of Kubernetes",
            )
        return ObjectRef("Pod", namespace, name)

    def _environment(self, key: str, form: re.Pattern[str]) -> str:
        value = self.environment.get(key, "")
        if not form.fullmatch(value):
            raise CniError(Code.INVALID_ENVIRONMENT, f"{key}: {value!r} cannot be used: the runtime must set it")
        return value


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """The network's config, from stdin."""

    version: str
    previous: Mapping[str, Any] | None
    """`prevResult`, as it came."""
    raw: Mapping[str, Any]

    @classmethod
    def parse(cls, stdin: bytes, verb: str) -> NetworkConfig:
        """The config, in a version that has the verb."""
        raw = _decoded(stdin)
        version = raw.get("cniVersion", "0.1.0")
        if version not in VERSIONS:
            raise CniError(
                Code.INCOMPATIBLE_VERSION,
                f"cniVersion: {version!r} is not supported: use one of {', '.join(VERSIONS)}",
            )
        if VERSIONS.index(version) < VERSIONS.index(SINCE.get(verb, VERSIONS[0])):
            raise CniError(Code.INCOMPATIBLE_VERSION, f"cniVersion: {version} has no {verb}: use {SINCE[verb]}")
        previous = raw.get("prevResult")
        if previous is not None and not isinstance(previous, dict):
            raise CniError(Code.INVALID_CONFIG, "prevResult: is no object")
        return cls(version, previous, raw)

    def chained(self) -> Mapping[str, Any]:
        """`prevResult`, which a plugin behind another one always has."""
        if self.previous is None:
            raise CniError(
                Code.INVALID_CONFIG,
                "prevResult: is missing: put twinway behind the plugin that gives pods their interface",
            )
        return self.previous

    def addresses(self) -> tuple[IPAddress, ...]:
        """The pod's bare addresses, in the order of `prevResult.ips`; masks there mean nothing to us."""
        ips = self.chained().get("ips")
        if not isinstance(ips, list) or not ips:
            raise CniError(Code.INVALID_CONFIG, "prevResult.ips: is empty: the plugin before must give addresses")
        return tuple(_address(entry, index) for index, entry in enumerate(ips))

    def valid_attachments(self) -> tuple[tuple[str, str], ...]:
        """What still exists, as GC reports it: (container id, interface name)."""
        entries = self.raw.get(VALID_ATTACHMENTS)
        if not isinstance(entries, list):
            raise CniError(Code.INVALID_CONFIG, f"{VALID_ATTACHMENTS}: is missing: GC would forget every pod")
        try:
            return tuple((str(entry["containerID"]), str(entry["ifname"])) for entry in entries)
        except (KeyError, TypeError) as error:
            raise CniError(
                Code.INVALID_CONFIG, f"{VALID_ATTACHMENTS}: each entry needs containerID and ifname"
            ) from error


def attachment(request: Request, config: NetworkConfig) -> Attachment:
    """What an ADD reports of a pod."""
    return Attachment(
        pod=request.pod,
        container_id=request.container_id,
        netns=request.netns,
        ifname=request.ifname,
        addresses=config.addresses(),
    )


def _decoded(stdin: bytes) -> Mapping[str, Any]:
    try:
        raw = json.loads(stdin)
    except (ValueError, RecursionError) as error:
        raise CniError(Code.DECODING_FAILURE, f"the network config on stdin is no JSON: {error}") from error
    if not isinstance(raw, dict):
        raise CniError(Code.DECODING_FAILURE, "the network config on stdin is no JSON object")
    return raw


def _address(entry: Any, index: int) -> IPAddress:
    try:
        return ip_interface(entry["address"]).ip
    except (KeyError, TypeError, ValueError) as error:
        raise CniError(
            Code.INVALID_CONFIG, f"prevResult.ips[{index}].address: no address in {json.dumps(entry)}"
        ) from error
