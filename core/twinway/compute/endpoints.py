"""Which pods of this node have a network of their own that twinway serves."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from twinway.compute.names import by_name
from twinway.model.cluster import Pod
from twinway.model.net import ObjectRef
from twinway.model.node import DENY_ALL, NO_POLICY, Attachment, Endpoint, PolicySetId
from twinway.model.policy import ClusterPolicy, NetworkPolicy

Selecting = tuple[NetworkPolicy | ClusterPolicy, ...]
"""The policies that select one pod."""


def known(
    attachments: Mapping[ObjectRef, Attachment], pods: Mapping[ObjectRef, Pod]
) -> dict[ObjectRef, Attachment]:
    """The attachments whose pod the source knows, sorted by pod: those that policy can speak of."""
    asked = ((ref, pods.get(ref)) for ref in sorted(attachments, key=by_name))
    return {ref: attachments[ref] for ref, pod in asked if pod is not None and not pod.host_network}


def endpoints(
    attachments: Mapping[ObjectRef, Attachment],
    pods: Mapping[ObjectRef, Pod],
    policies: Mapping[ObjectRef, PolicySetId],
    selecting: Mapping[ObjectRef, Selecting] = MappingProxyType({}),
) -> dict[ObjectRef, Endpoint]:
    """
    Every attached pod, the policy set it is under and the policies that select it, sorted by pod.

    A pod that the source does not know is under `DENY_ALL`: it may be new, and its policy still to come, or
    deleted by force, and still running. A pod in the node's own network has no policy of its own.
    """
    asked = ((ref, pods.get(ref)) for ref in sorted(attachments, key=by_name))
    return {
        ref: Endpoint(
            attachments[ref],
            DENY_ALL if pod is None else policies.get(ref, NO_POLICY),
            selecting.get(ref, ()),
        )
        for ref, pod in asked
        if pod is None or not pod.host_network
    }
