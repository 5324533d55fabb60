"""What is read from the API server: each kind, its place in the API, and the objects that are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from twinway.sources.decode.metadata import HEADLESS_LABEL, PROXY_NAME
from twinway.sources.decode.registry import KINDS

_EVERYTHING: Mapping[str, str] = MappingProxyType({})


class Resource(NamedTuple):
    """One kind of object, as requests name it."""

    kind: str
    plural: str
    versions: tuple[str, ...]
    """API versions that can be read, the preferred one first."""
    selectors: Mapping[str, str] = _EVERYTHING
    """Query parameters that leave objects out at the server."""
    optional: bool = False
    """Whether a cluster may lack this kind, and gain and lose it at run time."""
    metadata_only: bool = False
    """Whether the server is asked for the metadata alone."""

    @property
    def definition(self) -> str:
        """Name of the CustomResourceDefinition that provides an optional kind."""
        return f"{self.plural}.{self.group}"

    @property
    def group(self) -> str:
        """The API group, empty for the core group."""
        return self.versions[0].rpartition("/")[0]


def path_of(version: str, plural: str = "", namespace: str = "") -> str:
    """Where the server has an API version, or one kind of it, in all namespaces or in one."""
    place = f"/{'apis' if '/' in version else 'api'}/{version}"
    return place + (f"/namespaces/{namespace}" if namespace else "") + (f"/{plural}" if plural else "")


def _resource(kind: str, plural: str, **more: object) -> Resource:
    return Resource(kind, plural, KINDS[kind].versions, **more)  # type: ignore[arg-type]


_OTHERS = f"!{PROXY_NAME}"

DEFINITIONS = Resource(
    "CustomResourceDefinition", "customresourcedefinitions", ("apiextensions.k8s.io/v1",), metadata_only=True
)
"""Tells which optional kinds the cluster has."""

ALWAYS = (
    # Source: kube-proxy's informers, cmd/kube-proxy/app/server.go in Kubernetes 1.36.
    _resource(
        "Service", "services", selectors={"labelSelector": _OTHERS, "fieldSelector": "spec.clusterIP!=None"}
    ),
    _resource("EndpointSlice", "endpointslices", selectors={"labelSelector": f"{_OTHERS},!{HEADLESS_LABEL}"}),
    _resource("Namespace", "namespaces"),
    _resource("Node", "nodes"),
    _resource("NetworkPolicy", "networkpolicies"),
    _resource("ClusterNetworkPolicy", "clusternetworkpolicies", optional=True),
    _resource("AdminNetworkPolicy", "adminnetworkpolicies", optional=True),
    _resource("BaselineAdminNetworkPolicy", "baselineadminnetworkpolicies", optional=True),
)
"""Kinds that every node reads whole."""


def pods_on(node: str) -> Resource:
    """The pods of a node, those that have finished among them: they may still be attached."""
    return _resource("Pod", "pods", selectors={"fieldSelector": f"spec.nodeName={node}"})


def pods_elsewhere(node: str) -> Resource:
    """The pods of other nodes that have an address or will have one."""
    selector = f"spec.nodeName!=,spec.nodeName!={node},status.phase!=Succeeded,status.phase!=Failed"
    return _resource("Pod", "pods", selectors={"fieldSelector": selector})
