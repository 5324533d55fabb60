"""A service account with the rules that the chart gives to agents, and its tokens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.cluster.api import Api, Document
from tests.cluster.control_plane import ControlPlane
from twinway_testing.kube.pki import write_kubeconfig

CHART = Path(__file__).parents[2] / "deploy/chart/twinway"
SPACE, NAME = "kube-system", "twinway"
ACCOUNT = f"/api/v1/namespaces/{SPACE}/serviceaccounts"
ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


class Grant(NamedTuple):
    """One verb on one kind."""

    group: str
    resource: str
    verb: str


def rules(file: str = "rules.yaml") -> list[dict[str, list[str]]]:
    """The rules in a file of the chart."""
    read: list[dict[str, list[str]]] = yaml.safe_load((CHART / file).read_text())
    return read


def grants(of: list[dict[str, list[str]]]) -> Iterator[Grant]:
    """Each verb that rules grant."""
    for rule in of:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                yield from (Grant(group, resource, verb) for verb in rule["verbs"])


def create_account(api: Api) -> None:
    """Make the account and bind it to a role that has the rules of the chart."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": SPACE}}
    api.request("POST", ACCOUNT, account)
    api.request("POST", ROLES, _role(list(grants(rules()))))
    binding = {
        "metadata": {"name": NAME},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME},
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": SPACE}],
    }
    api.request("POST", BINDINGS, binding)


def grant(api: Api, granted: list[Grant]) -> None:
    """Let the account do this and nothing else."""
    api.request("PUT", f"{ROLES}/{NAME}", _role(granted))


def may(api: Api, one: Grant) -> bool:
    """Whether the user of this connection may do it."""
    asked = {"group": one.group, "resource": one.resource, "verb": one.verb}
    answer = api.request("POST", REVIEWS, {"spec": {"resourceAttributes": asked}})
    return bool(answer["status"]["allowed"])


def token(api: Api, pod: Document | None = None) -> str:
    """A token of the account; with `pod`, one that ends with that pod."""
    spec: dict[str, Any] = {"expirationSeconds": 3600}
    if pod is not None:
        metadata = pod["metadata"]
        spec["boundObjectRef"] = {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": metadata["name"],
            "uid": metadata["uid"],
        }
    answer = api.request("POST", f"{ACCOUNT}/{NAME}/token", {"spec": spec})
    return str(answer["status"]["token"])


def kubeconfig(plane: ControlPlane, path: Path, user: dict[str, Any]) -> Path:
    """A kubeconfig of the plane for this user."""
    write_kubeconfig(path, plane.pki.server, plane.pki.authority, user)
    return path


def _role(granted: list[Grant]) -> Document:
    return {
        "metadata": {"name": NAME},
        "rules": [{"apiGroups": [one.group], "resources": [one.resource], "verbs": [one.verb]} for one in granted],
    }
