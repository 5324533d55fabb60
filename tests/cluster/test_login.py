"""How an agent logs in: as the service account of its pod, and by a plugin for credentials."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest

from tests.cluster.accounts import NAME, SPACE, create_account, kubeconfig, token
from tests.cluster.api import Api
from tests.cluster.following import until
from tests.cluster.objects import pod, service

MOUNT = (
    "mount -t tmpfs none /run && mkdir -p /run/secrets/kubernetes.io/serviceaccount && "
    'mount --bind "$0" /run/secrets/kubernetes.io/serviceaccount && exec "$@"'
)
"""In a mount namespace of its own: what kubelet mounts into a pod."""


def services(agent):
    """The names of the Services that the agent serves."""
    return {row["service"] for row in agent.client.get("/services")["services"]}


def account_pod(name):
    """A pod of the agents' account, to which a token can be bound."""
    made = pod(name, space=SPACE)
    made["spec"]["serviceAccountName"] = NAME
    return made


def test_as_a_pod_with_a_service_account(guarded_plane, site):
    """Address, authority and token are a pod's own; a token that was replaced on disk is read again."""
    plane, api = guarded_plane, guarded_plane.api
    first, second = api.create(account_pod("first")), api.create(account_pod("second"))
    secret = site.folder / "secret"
    secret.mkdir()
    (secret / "ca.crt").write_text(plane.pki.authority.read_text())
    old = token(api, first)
    (secret / "token").write_text(old)
    place = urlsplit(plane.pki.server)
    site.environment |= {"KUBERNETES_SERVICE_HOST": place.hostname, "KUBERNETES_SERVICE_PORT": str(place.port)}
    api.create(service("one"))
    prefix = ("unshare", "--mount", "--propagation", "private", "sh", "-c", MOUNT, str(secret))
    agent = site.agent(prefix, source={"kind": "kubernetes"})
    until(lambda: services(agent), lambda names: "default/one" in names)
    assert agent.client.status()["error"] is None

    (secret / "token").write_text(token(api, second))
    api.delete(first)
    plane.end_server()
    plane.start_server()
    plane.api.create(service("two"))
    until(lambda: services(agent), lambda names: "default/two" in names)
    until(agent.client.status, lambda status: status["error"] is None)
    assert not Api(plane.pki.server, plane.pki.authority, old).exists("/api/v1/namespaces")


def test_by_a_plugin_for_credentials(guarded_plane, follow_by, tmp_path):
    """The kubeconfig names a program, which prints a token of the account."""
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": token(guarded_plane.api)},
    }
    program = tmp_path / "credentials"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(credential)}\nEND\n")
    program.chmod(0o700)
    user = {"exec": {"apiVersion": credential["apiVersion"], "command": str(program), "interactiveMode": "Never"}}
    following = follow_by(kubeconfig(guarded_plane, tmp_path / "kubeconfig", user))
    following.until(lambda cluster: cluster.namespaces)
    following.until_error(None)
    program.write_text("#!/bin/sh\necho the ticket has expired >&2\nexit 3\n")
    other = follow_by(kubeconfig(guarded_plane, tmp_path / "kubeconfig", user))
    other.until_error(f"{tmp_path}/kubeconfig: exec: process returned 3. the ticket has expired")
    assert other.snapshots == []


@pytest.fixture(scope="module", autouse=True)
def account(guarded_plane):
    """The account of the agents is there."""
    create_account(guarded_plane.api)
