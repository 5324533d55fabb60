"""The rules of the chart are what an agent needs: with all of them it works, without one it says which."""

from __future__ import annotations

import pytest

from tests.cluster.accounts import Grant, create_account, grant, grants, kubeconfig, may, rules, token
from tests.cluster.api import Api
from tests.cluster.following import until
from tests.cluster.objects import (
    cluster_policy,
    definition_of,
    endpoint_slice,
    namespace,
    node,
    pod,
    policy,
    service,
)
from tests.cluster.test_following import create_when_possible
from twinway.sources.kubernetes.resources import ALWAYS, DEFINITIONS, pods_on

READ = [each for each in grants(rules()) if each.verb in ("list", "watch")]


@pytest.fixture(scope="module")
def account(guarded_plane, tmp_path_factory):
    """A kubeconfig of the agents' account, at a cluster that has every kind and a policy that asks for pods."""
    api = guarded_plane.api
    create_account(api)
    for kind in ("ClusterNetworkPolicy", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy"):
        create_when_possible(api, definition_of(kind, "v1alpha2" if kind.startswith("Cluster") else ""))
    create_when_possible(api, cluster_policy("strict", "v1alpha2"))
    asking = policy("open")
    asking["spec"]["ingress"] = [{"from": [{"podSelector": {}}]}]
    objects = (namespace("shop"), service("web"), endpoint_slice("web-1", "web", "10.0.0.1"), node("n1"), pod("a"))
    for each in (*objects, asking):
        api.create(each)
    made = token(api)
    path = tmp_path_factory.mktemp("account") / "kubeconfig"
    return kubeconfig(guarded_plane, path, {"token": made}), Api(
        guarded_plane.pki.server, guarded_plane.pki.authority, made
    )


def test_the_rules_are_the_kinds_that_are_read():
    """Each kind that has a reflector is listed and watched, and nothing else is."""
    kinds = {(each.group, each.plural) for each in (*ALWAYS, DEFINITIONS, pods_on("n"))}
    assert set(READ) == {Grant(group, plural, verb) for group, plural in kinds for verb in ("list", "watch")}


def test_exactly_these_rules_are_enough(guarded_plane, account, follow_by):
    """The first snapshot has every kind, and nothing is refused."""
    path, own = account
    until(lambda: [may(own, each) for each in READ], all)
    following = follow_by(path)
    cluster = following.until(lambda cluster: cluster.cluster_policies and cluster.policies)
    assert cluster.services
    assert cluster.slices
    assert cluster.nodes
    assert cluster.pods
    assert following.source.error is None
    assert not may(own, Grant("", "secrets", "get"))


@pytest.mark.parametrize("missing", READ, ids=lambda each: f"{each.verb}-{each.resource}")
def test_without_one_verb(guarded_plane, account, follow_by, missing):
    """The source puts nothing, and one line names the kind and the verb."""
    path, own = account
    api = guarded_plane.api
    grant(api, [each for each in grants(rules()) if each != missing])
    try:
        until(lambda: may(own, missing), lambda allowed: not allowed)
        following = follow_by(path)
        following.until_error(f'cannot {missing.verb} resource "{missing.resource}"')
        assert "\n" not in (following.source.error or "")
        if missing.verb == "list":
            assert following.snapshots == []
    finally:
        grant(api, list(grants(rules())))
