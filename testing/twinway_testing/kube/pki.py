"""
Keys, certificates and kubeconfigs of the cluster.

Every component has a client certificate of its own, so that the API server authorizes each one by
Node and RBAC, as kubeadm sets a cluster up.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from twinway_testing.kube import plan

USERS = {
    "admin": ("kubernetes-admin", "system:masters"),
    "kube-controller-manager": ("system:kube-controller-manager", ""),
    "kube-scheduler": ("system:kube-scheduler", ""),
    "kube-proxy": ("system:kube-proxy", ""),
    "apiserver-kubelet-client": ("kube-apiserver-kubelet-client", "system:masters"),
}
"""Each user of the control plane: common name and organization, which are its name and its group."""

_NEW = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30")
_SIGNED = ("-CA", "ca.crt", "-CAkey", "ca.key", "-addext", "basicConstraints=critical,CA:FALSE")


class Pki:
    """The folder with the authority, and what it has signed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = folder / "ca.crt"

    def create(self, nodes: list[str]) -> None:
        """Make everything anew, for these nodes."""
        self.folder.mkdir(mode=0o700)
        self._openssl(*_NEW, "-subj", "/CN=twinway-cluster", "-keyout", "ca.key", "-out", "ca.crt")
        self._openssl("genrsa", "-out", "sa.key", "2048")
        self._sign("api", "/CN=kube-apiserver", ("-addext", f"subjectAltName={_server_names()}"))
        users = USERS | {node: (f"system:node:{node}", "system:nodes") for node in nodes}
        for user, (name, group) in users.items():
            self._sign(user, (f"/O={group}" if group else "") + f"/CN={name}")
            certificate = {
                "client-certificate": self._path(f"{user}.crt"),
                "client-key": self._path(f"{user}.key"),
            }
            self.write_kubeconfig(user, certificate)

    def kubeconfig(self, user: str) -> Path:
        """The kubeconfig of a user or a node."""
        return self.folder / f"{user}.kubeconfig"

    def write_kubeconfig(self, user: str, credentials: dict[str, Any]) -> None:
        """Write a kubeconfig with these credentials."""
        write_kubeconfig(self.kubeconfig(user), plan.api_server(), self.authority, credentials)

    def _sign(self, name: str, subject: str, extensions: tuple[str, ...] = ()) -> None:
        out = ("-keyout", f"{name}.key", "-out", f"{name}.crt")
        self._openssl(*_NEW, *_SIGNED, "-subj", subject, *extensions, *out)

    def _openssl(self, *words: str) -> None:
        openssl(self.folder, *words)

    def _path(self, name: str) -> str:
        return str(self.folder / name)


def write_kubeconfig(path: Path, server: str, authority: Path, credentials: dict[str, Any]) -> None:
    """Write a kubeconfig with one context, for a server whose certificate this authority has signed."""
    cluster = {"server": server, "certificate-authority": str(authority)}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "cluster",
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "users": [{"name": "user", "user": credentials}],
        "contexts": [{"name": "cluster", "context": {"cluster": "cluster", "user": "user"}}],
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(document, indent=1))


def openssl(folder: Path, *words: str) -> None:
    """Run openssl in a folder."""
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def _server_names() -> str:
    services = [str(network[1]) for network in plan.SERVICE_CIDRS]
    addresses = [f"IP:{address}" for address in (*plan.addresses(plan.CONTROL), "127.0.0.1", *services)]
    service = ("kubernetes", "default", "svc", "cluster", "local")
    return ",".join([*addresses, "DNS:localhost", *(f"DNS:{'.'.join(service[:end])}" for end in (1, 2, 3, 5))])
