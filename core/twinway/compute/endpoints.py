"""Which pods of this node have a network of their own that twinway serves."""

from __future__ import annotations

from collections.abc import Mapping

from twinway.compute.names import by_name
from twinway.model.cluster import Pod
from twinway.model.net import ObjectRef
from twinway.model.node import NO_POLICY, Attachment, Endpoint, PolicySetId


def attached(
    attachments: Mapping[ObjectRef, Attachment], pods: Mapping[ObjectRef, Pod]
) -> dict[ObjectRef, Attachment]:
    """
    The attachments that become endpoints, sorted by pod.

    A pod that the source does not know has no policy yet, so it is no endpoint yet: whoever adds
    it waits. A pod in the node's own network has none of its own.
    """
    known = (ref for ref in attachments if ref in pods and not pods[ref].host_network)
    return {ref: attachments[ref] for ref in sorted(known, key=by_name)}


def endpoints(
    attachments: Mapping[ObjectRef, Attachment], policies: Mapping[ObjectRef, PolicySetId]
) -> dict[ObjectRef, Endpoint]:
    """Each attachment with the policy set its pod is under."""
    return {ref: Endpoint(each, policies.get(ref, NO_POLICY)) for ref, each in attachments.items()}
