"""No document breaks the decoders of policies."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.documents import Document, having
from tests.unit.sources.decode.test_decode_clusterpolicy import BASELINE, OLD, WIDE
from tests.unit.sources.decode.test_decode_networkpolicy import POLICY
from twinway.sources.decode.registry import decode_object

FIELDS = [
    *("podSelector", "policyTypes", "ingress", "egress", "from", "to", "ports", "protocols", "port", "endPort"),
    *("ipBlock", "cidr", "except", "matchLabels", "matchExpressions"),
    *("tier", "priority", "subject", "name", "action", "namespaces", "pods", "networks"),
]
PLACES = [
    *("metadata", "spec.podSelector", "spec.subject", "spec.ingress", "spec.ingress.0", "spec.ingress.0.from.0"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 70000) | st.sampled_from(["", "a", "Deny", "10.0.0.0/8", "http"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(FIELDS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(spec=JSON, kind=st.sampled_from([POLICY, WIDE, OLD, BASELINE]))
def test_no_document_breaks_a_decoder(spec: Any, kind: Document) -> None:
    """Whatever a spec holds, the answer is a policy or a reason, never an exception."""
    policy, rejected = decode_object({**kind, "spec": spec})
    assert policy is not None or rejected


@settings(max_examples=300, deadline=None)
@given(part=JSON, kind=st.sampled_from([POLICY, WIDE, OLD, BASELINE]), place=st.sampled_from(PLACES))
def test_no_part_of_a_policy_breaks_a_decoder(part: Any, kind: Document, place: str) -> None:
    """Nor does anything in a place where the decoder expects something."""
    policy, rejected = decode_object(having(kind, place, part))
    assert policy is not None or rejected
