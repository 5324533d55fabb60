"""What a server's refusal says."""

from __future__ import annotations

import pytest

from twinway.sources.kubernetes.failures import refusal
from twinway.sources.kubernetes.pacing import Pacing
from twinway.sources.kubernetes.resources import ALWAYS, path_of
from twinway.sources.kubernetes.revision import revision_of


@pytest.mark.parametrize(
    ("status", "document", "words"),
    [
        (403, {"code": 403, "message": "nodes is forbidden:\n no"}, "403 Forbidden: nodes is forbidden: no"),
        (503, None, "503 Service Unavailable"),
        (200, {"code": 410, "message": "too old"}, "410 Gone: too old"),
        (599, {"message": 3}, "599 from the server"),
    ],
)
def test_a_refusal_is_one_line(status, document, words):
    """The code of the `Status` object counts, where there is one."""
    assert str(refusal(status, document)) == words


def test_how_long_the_server_asks_to_wait():
    """Seconds count; anything else is no wish."""
    assert refusal(429, None, "7").retry_after == 7.0
    assert refusal(429, None, "9999").retry_after == 60.0
    assert refusal(429, None, "Sun, 29 Nov 2026 00:00:00 GMT").retry_after == 0.0


def test_pauses_double_up_to_the_longest():
    """Half of a pause is chance."""
    pacing = Pacing(first=1.0, longest=5.0, jitter=lambda: 0.0)
    assert [pacing.pause(failures) for failures in (0, 1, 2, 3, 4, 99)] == [0.0, 0.5, 1.0, 2.0, 2.5, 2.5]
    assert Pacing(first=1.0, jitter=lambda: 1.0).pause(1) == 1.0


def test_versions_are_numbers():
    """What is none counts as older than all."""
    assert [revision_of(each) for each in ("12", "", "x", "-1", "²", None, 3)] == [12, 0, 0, 0, 0, 0, 0]


def test_every_kind_has_a_path():
    """The core group is below /api, the others below /apis."""
    paths = {each.kind: path_of(each.versions[0], each.plural) for each in ALWAYS}
    assert paths["Service"] == "/api/v1/services"
    assert paths["EndpointSlice"] == "/apis/discovery.k8s.io/v1/endpointslices"
    assert paths["ClusterNetworkPolicy"] == "/apis/policy.networking.k8s.io/v1beta1/clusternetworkpolicies"
    assert {each.definition for each in ALWAYS if each.optional} == {
        "clusternetworkpolicies.policy.networking.k8s.io",
        "adminnetworkpolicies.policy.networking.k8s.io",
        "baselineadminnetworkpolicies.policy.networking.k8s.io",
    }
