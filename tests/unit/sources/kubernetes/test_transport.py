"""Configuration that cannot be used, and what a broken connection says."""

from __future__ import annotations

import json
import socket

import pytest

from twinway.errors import SourceError
from twinway.sources.kubernetes.failures import UnreachableError
from twinway.sources.kubernetes.transport import Timeouts, connect

PLUGIN_API = "client.authentication.k8s.io/v1"


def config(**changes):
    """A kubeconfig, with other sections."""
    whole = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    return json.dumps({**whole, **changes})


def by_plugin(*command):
    """A user whose credentials a program prints."""
    how = {"apiVersion": PLUGIN_API, "command": command[0], "args": list(command[1:]), "interactiveMode": "Never"}
    return {"name": "u", "user": {"exec": how}}


def credential(**status):
    """What such a program prints."""
    return json.dumps({"apiVersion": PLUGIN_API, "kind": "ExecCredential", "status": status})


def test_a_plugin_for_credentials(tmp_path, caplog):
    """Its token is used; where it fails, its own words are in the one line, and in no other."""
    path = tmp_path / "kubeconfig"
    path.write_text(config(users=[by_plugin("echo", credential(token="secret"))]))
    assert connect(path)._client.configuration.api_key == {"BearerToken": "Bearer secret"}
    path.write_text(config(users=[by_plugin("sh", "-c", "echo no ticket >&2; exit 3")]))
    with pytest.raises(SourceError, match=r"^.*/kubeconfig: exec: process returned 3\. no ticket$"):
        connect(path)
    assert caplog.text == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        "[]",
        "{}",
        "a: [",
        "\t",
        config(**{"current-context": "another"}),
        config(contexts=None),
        config(contexts=3),
        config(clusters=[]),
        config(clusters=[{"name": "k"}]),
        config(clusters=[{"name": "k", "cluster": {}}]),
        config(clusters=[{"name": "k", "cluster": {"server": 3}}]),
        config(clusters=[{"name": "k", "cluster": {"server": "https://x", "certificate-authority": "/none"}}]),
        config(users=[{"name": "u", "user": {"tokenFile": "/none"}}]),
        config(users=[by_plugin("false")]),
        config(users=[by_plugin("/none")]),
        config(users=[by_plugin("echo", "no json")]),
        config(users=[by_plugin("echo", "{}")]),
        config(users=[by_plugin("echo", credential(clientCertificateData="x"))]),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_named(tmp_path, text):
    """One line, beginning with the file."""
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(SourceError) as caught:
        connect(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_kubeconfig_that_is_not_there_is_named(tmp_path):
    """So is one that is not there."""
    with pytest.raises(SourceError, match="kubeconfig: "):
        connect(tmp_path / "kubeconfig")


def test_outside_of_a_pod_there_is_no_service_account(monkeypatch):
    """Without a kubeconfig the agent has to be a pod."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(SourceError, match="service account of this pod: "):
        connect(None)


def test_what_is_wrong_with_a_connection_is_said_in_a_few_words(tmp_path):
    """A port that nobody listens at, and one that nobody answers at."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        path = tmp_path / "kubeconfig"
        path.write_text(config(clusters=[{"name": "k", "cluster": {"server": address}}]))
        transport = connect(path, timeouts=Timeouts(connect=1.0, answer=0.1))
        with pytest.raises(UnreachableError, match=r"^connection refused$"):
            transport.get("/api", {})
        silent.listen()
        with pytest.raises(UnreachableError, match=r"^no answer in time$"):
            transport.get("/api", {})
