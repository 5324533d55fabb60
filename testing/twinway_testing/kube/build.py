"""The programs of a Kubernetes cluster, compiled once, and the images of its pods."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from twinway.errors import TwinwayError
from twinway_testing.kube import binaries, images
from twinway_testing.kube.output import say

GO = Path(__file__).parent / "go"
DATA = Path(__file__).parent / "data"
_MAJOR, _MINOR = binaries.VERSION.removeprefix("v").split(".")[:2]
_STAMPS = {"gitVersion": binaries.VERSION, "gitMajor": _MAJOR, "gitMinor": _MINOR}
LDFLAGS = " ".join(["-s", "-w", *(f"-X k8s.io/component-base/version.{key}={_STAMPS[key]}" for key in _STAMPS)])

PROGRAMS = {
    "kube-apiserver": ("kube", "k8s.io/kubernetes/cmd/kube-apiserver"),
    "etcd": ("etcd", "go.etcd.io/etcd/server/v3"),
    "kube-controller-manager": ("kube", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    "kube-scheduler": ("kube", "k8s.io/kubernetes/cmd/kube-scheduler"),
    "kube-proxy": ("kube", "k8s.io/kubernetes/cmd/kube-proxy"),
    "kubelet": ("kube", "k8s.io/kubernetes/cmd/kubelet"),
    "kubectl": ("kube", "k8s.io/kubernetes/cmd/kubectl"),
    "agnhost": ("kube", "k8s.io/kubernetes/test/images/agnhost"),
    "regression-issue-74839": ("kube", "k8s.io/kubernetes/test/images/regression-issue-74839"),
    "ginkgo": ("kube", "github.com/onsi/ginkgo/v2/ginkgo"),
    "e2e.test": ("kube", "k8s.io/kubernetes/test/e2e"),
    "coredns": ("coredns", "."),
    "policy.test": ("policy", "sigs.k8s.io/network-policy-api/conformance"),
}
"""Each program, the Go module in `go/` that pins its version, and the package that it is built from."""

SUITES = ("ginkgo", "e2e.test", "policy.test")
"""What tests a cluster, and none is brought up with."""
_CRDS = "sigs.k8s.io/network-policy-api"


def build(names: Iterable[str]) -> None:
    """Compile those of these programs that are not there yet."""
    for name in names:
        if name not in PROGRAMS:
            raise TwinwayError(f"kube: {name} is not a program of the cluster: give one of {', '.join(PROGRAMS)}")
        if not (binaries.folder() / name).exists():
            _compile(name)


def build_cluster() -> None:
    """Make what a cluster is brought up with, as far as it is not there yet."""
    build(name for name in PROGRAMS if name not in SUITES)
    _build_pause()
    if not all((binaries.images() / archive).exists() for archive in images.ARCHIVES):
        images.build(binaries.folder(), binaries.images())


def build_all() -> None:
    """Make everything: what a cluster needs, and the suites."""
    build_cluster()
    build(SUITES)
    copy_definitions()


def _compile(name: str) -> None:
    if shutil.which("go") is None:
        raise TwinwayError(
            f"kube: go is missing: install Go 1.26, or set TWINWAY_KUBE_BIN to a folder with {name}"
        )
    module, package = PROGRAMS[name]
    target = binaries.folder() / name
    target.parent.mkdir(parents=True, exist_ok=True)
    say(f"kube: building {name} into {target.parent}")
    begun = time.monotonic()
    # An interrupted build leaves no program.
    part = target.with_suffix(".part")
    verb = ["test", "-c"] if name.endswith(".test") else ["build"]
    command = ["go", *verb, "-trimpath", f"-ldflags={LDFLAGS}", "-o", str(part), package]
    if subprocess.run(command, cwd=GO / module, env=os.environ | {"CGO_ENABLED": "0"}, check=False).returncode:
        raise TwinwayError(f"kube: {name} cannot be built: the compiler's words are above")
    part.rename(target)
    say(f"kube: built {name} in {time.monotonic() - begun:.0f} s")


def _build_pause() -> None:
    target = binaries.folder() / "pause"
    if not target.exists():
        subprocess.run(["gcc", "-static", "-Os", "-s", "-o", target, DATA / "pause.c"], check=True)


def copy_definitions() -> None:
    """Copy the definition of ClusterNetworkPolicy from its module, once."""
    # The experimental channel has named ports and nodes as peers, beside all of the standard one.
    target = binaries.definitions()
    if not target.exists():
        asked = ["go", "list", "-m", "-f", "{{.Dir}}", _CRDS]
        module = subprocess.run(
            asked, cwd=GO / "policy", check=True, capture_output=True, text=True
        ).stdout.strip()
        name = "policy.networking.k8s.io_clusternetworkpolicies.yaml"
        shutil.copyfile(Path(module) / "config" / "crd" / "experimental" / name, target)
