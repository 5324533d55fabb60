"""Versions of policies: which are read, and what becomes of one that is not known."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.documents import Document, having, lacking
from tests.unit.sources.decode.test_decode_clusterpolicy import APP, BASELINE, DENY_ALL, OLD, WIDE
from tests.unit.sources.decode.test_decode_networkpolicy import POLICY
from twinway.model.policy import ClusterPolicy, NetworkPolicy, PodPeer, Selector, Tier
from twinway.sources.decode.registry import KINDS, decode_object

GROUP = "policy.networking.k8s.io"
SHUT = "; its rules are not read, and nobody reaches the pods that it selects or is reached by them"
ALL = Selector()


def versioned(document: Document, version: object) -> Document:
    """The document in another version."""
    return having(document, "apiVersion", version)


def test_a_cluster_network_policy_is_the_same_in_both_versions() -> None:
    """v1beta1 has the schema of v1alpha2."""
    assert KINDS["ClusterNetworkPolicy"].versions == (f"{GROUP}/v1beta1", f"{GROUP}/v1alpha2")
    alpha, beta = (decode_object(versioned(WIDE, f"{GROUP}/{each}")) for each in ("v1alpha2", "v1beta1"))
    assert alpha == beta
    assert isinstance(beta[0], ClusterPolicy)
    assert beta[1] == ()


@pytest.mark.parametrize("version", ["networking.k8s.io/v2", "extensions/v1beta1", "", None, 1])
def test_a_network_policy_of_an_unknown_version_isolates_what_it_selects(version: object) -> None:
    """In both directions, allowing nothing, and it is reported by name."""
    policy, rejected = decode_object(versioned(POLICY, version))
    known, _ = decode_object(POLICY)
    assert isinstance(policy, NetworkPolicy)
    assert isinstance(known, NetworkPolicy)
    assert (policy.ref, policy.pods, policy.ingress, policy.egress) == (known.ref, known.pods, (), ())
    assert [(each.ref, each.field) for each in rejected] == [(known.ref, "apiVersion")]
    assert rejected[0].reason.endswith(SHUT)


@pytest.mark.parametrize("document", [WIDE, OLD, BASELINE])
@pytest.mark.parametrize("version", [f"{GROUP}/v1", f"{GROUP}/v9alpha1", None])
def test_a_cluster_policy_of_an_unknown_version_denies_all_to_its_subject(
    document: Document, version: str | None
) -> None:
    """Before all others, both ways."""
    policy, rejected = decode_object(versioned(document, version))
    known, _ = decode_object(document)
    assert isinstance(policy, ClusterPolicy)
    assert isinstance(known, ClusterPolicy)
    assert (policy.tier, policy.priority, policy.subject) == (Tier.ADMIN, 0, known.subject)
    assert policy.ingress == policy.egress == (DENY_ALL,)
    assert [(each.ref, each.field) for each in rejected] == [(known.ref, "apiVersion")]
    assert rejected[0].reason.endswith(SHUT)


@pytest.mark.parametrize("spec", [None, [], {}, {"subject": {"everything": {}}}, {"selects": "all"}])
def test_a_selector_that_cannot_be_read_stands_for_all(spec: Any) -> None:
    """A new version may spell it in another way."""
    policy, rejected = decode_object({**versioned(WIDE, f"{GROUP}/v1"), "spec": spec})
    assert isinstance(policy, ClusterPolicy)
    assert (policy.subject, len(rejected)) == (PodPeer(ALL, ALL), 1)
    other, rejected = decode_object({**versioned(POLICY, "networking.k8s.io/v2"), "spec": spec})
    assert isinstance(other, NetworkPolicy)
    assert (other.pods, len(rejected)) == (ALL, 1)


@pytest.mark.parametrize("version", ["projectcalico.org/v3", "crd.antrea.io/v1beta1", "v1"])
def test_a_policy_of_another_group_is_somebody_elses(version: str) -> None:
    """It is reported, and isolates nobody: it was never meant for us."""
    for document in (POLICY, WIDE):
        policy, rejected = decode_object(versioned(document, version))
        assert (policy, [each.field for each in rejected]) == (None, ["apiVersion"])


def test_without_a_name_nothing_can_be_held() -> None:
    """As of a policy of a known version."""
    for document in (POLICY, WIDE):
        policy, rejected = decode_object(versioned(lacking(document, "metadata.name"), "networking.k8s.io/v2"))
        assert policy is None
        assert rejected


def test_a_selector_is_read_where_it_is_what_it_was() -> None:
    """The rest of the policy may be unreadable."""
    document = versioned(WIDE, f"{GROUP}/v1")
    document["spec"] |= {"tier": 7, "priority": "first", "ingress": "none", "egress": None, "unheard": {}}
    policy, _ = decode_object(document)
    assert isinstance(policy, ClusterPolicy)
    assert policy.subject == PodPeer(APP, ALL)
