"""etcd, API server, controller manager and scheduler on the control host."""

from __future__ import annotations

import subprocess
from typing import Any

from twinway_testing.kube import binaries, plan
from twinway_testing.kube.host import Host
from twinway_testing.kube.output import wait_for
from twinway_testing.kube.pki import Pki


def start(control: Host, pki: Pki) -> None:
    """Start the control plane, and return when the API server is ready."""
    # Nothing of the cluster outlives the machine: etcd does not wait for the disk.
    control.spawn("etcd", "etcd", f"--data-dir={control.folder}/etcd", "--unsafe-no-fsync", "--log-level=warn")
    server = control.spawn("kube-apiserver", *_api_server(pki))
    wait_for("the API server", lambda: _ready(control, pki), 120, server)
    control.spawn("kube-controller-manager", *_controller_manager(pki))
    scheduler = f"--kubeconfig={pki.kubeconfig('kube-scheduler')}"
    control.spawn("kube-scheduler", "kube-scheduler", scheduler, "--leader-elect=false", "--v=1")


def _ready(control: Host, pki: Pki) -> bool:
    admin = f"--kubeconfig={pki.kubeconfig('admin')}"
    done = control.do("kubectl", admin, "get", "--raw=/readyz", check=False, capture_output=True)
    return done.returncode == 0


def _api_server(pki: Pki) -> list[str]:
    folder = pki.folder
    return [
        "kube-apiserver",
        "--etcd-servers=http://127.0.0.1:2379",
        f"--advertise-address={plan.addresses(plan.CONTROL)[0]}",
        f"--secure-port={plan.API_PORT}",
        f"--service-cluster-ip-range={plan.joined(plan.SERVICE_CIDRS)}",
        f"--tls-cert-file={folder}/api.crt",
        f"--tls-private-key-file={folder}/api.key",
        f"--client-ca-file={pki.authority}",
        f"--kubelet-client-certificate={folder}/apiserver-kubelet-client.crt",
        f"--kubelet-client-key={folder}/apiserver-kubelet-client.key",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={folder}/sa.key",
        f"--service-account-signing-key-file={folder}/sa.key",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged",
        "--v=1",
    ]


def _controller_manager(pki: Pki) -> list[str]:
    return [
        "kube-controller-manager",
        f"--kubeconfig={pki.kubeconfig('kube-controller-manager')}",
        "--leader-elect=false",
        "--use-service-account-credentials",
        "--allocate-node-cidrs",
        f"--cluster-cidr={plan.joined(plan.POD_CIDRS)}",
        "--node-cidr-mask-size-ipv4=24",
        "--node-cidr-mask-size-ipv6=64",
        f"--service-cluster-ip-range={plan.joined(plan.SERVICE_CIDRS)}",
        f"--root-ca-file={pki.authority}",
        f"--service-account-private-key-file={pki.folder}/sa.key",
        "--v=1",
    ]


def kubectl(control: Host, pki: Pki, *words: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run kubectl on the control host as the cluster's administrator."""
    kubeconfig = f"--kubeconfig={pki.kubeconfig('admin')}"
    return control.do(binaries.folder() / "kubectl", kubeconfig, *words, **options)
