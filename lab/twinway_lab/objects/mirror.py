"""
Endpoints into EndpointSlices, for Services that select no pods: what a cluster's mirroring controller does.

Source: k8s.io/kubernetes/pkg/controller/endpointslicemirroring.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from twinway.model.net import ObjectRef
from twinway.sources.decode.metadata import ref_of
from twinway.sources.manifests.parse import Document
from twinway_lab.objects.raw import Object, section

KIND = "Endpoints"
_SKIP = "endpointslice.kubernetes.io/skip-mirror"
_ADDRESSES = (("addresses", True), ("notReadyAddresses", False))


def mirrored(documents: Sequence[Document]) -> list[Document]:
    """The documents with slices in place of Endpoints; a Service that selects pods has a controller of its own."""
    chosen = {
        ref_of(each.data, namespaced=True)
        for each in documents
        if each.data.get("kind") == "Service" and not section(each.data, "spec").get("selector")
    }
    done: list[Document] = []
    for document in documents:
        if document.data.get("kind") != KIND:
            done.append(document)
            continue
        ref = ref_of(document.data, namespaced=True)
        labels = section(section(document.data, "metadata"), "labels")
        if ObjectRef("Service", ref.namespace, ref.name) in chosen and labels.get(_SKIP) != "true":
            done += [Document(document.path, document.place, each) for each in _slices(document.data, ref)]
    return done


def _slices(endpoints: Object, ref: ObjectRef) -> Iterator[dict[str, Any]]:
    for index, subset in enumerate(_mappings(endpoints.get("subsets"))):
        for family in ("IPv4", "IPv6"):
            found = [
                _endpoint(address, ready=ready)
                for key, ready in _ADDRESSES
                for address in _mappings(subset.get(key))
                if (":" in str(address.get("ip"))) == (family == "IPv6")
            ]
            if found:
                yield {
                    "apiVersion": "discovery.k8s.io/v1",
                    "kind": "EndpointSlice",
                    "metadata": {
                        "namespace": ref.namespace,
                        "name": f"{ref.name}-mirrored-{index}-{family.lower()}",
                        "labels": {"kubernetes.io/service-name": ref.name},
                    },
                    "addressType": family,
                    "ports": [dict(port) for port in _mappings(subset.get("ports"))],
                    "endpoints": found,
                }


def _endpoint(address: Object, *, ready: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"addresses": [address.get("ip")], "conditions": {"ready": ready}}
    found |= {"nodeName": address["nodeName"]} if address.get("nodeName") else {}
    return found | ({"targetRef": address["targetRef"]} if address.get("targetRef") else {})


def _mappings(value: object) -> list[Object]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
